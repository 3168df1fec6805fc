//! POSIX ACLs: from the bytes ext4 keeps to those that Linux shows as an attribute.
//!
//! On disk (version 1) only entries of named users and groups have an id; what `getxattr` gives
//! (version 2) has one in every entry.

use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;

const DISK_VERSION: u32 = 1;
const SHOWN_VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;
const NAMED_USER: u16 = 0x02;
const NAMED_GROUP: u16 = 0x08;
/// Owner, owning group, mask, others.
const WITHOUT_ID: [u16; 4] = [0x01, 0x04, 0x10, 0x20];

/// Returns an empty value for a list without entries, which Linux shows as none at all; `None` for
/// bytes that are no ACL.
pub fn shown(disk: &[u8]) -> Option<Vec<u8>> {
    let mut rest = disk.get(4..).filter(|_| u32_at(disk, 0) == DISK_VERSION)?;
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        let (tag, perm) = (u16_at(rest, 0), u16_at(rest, 2));
        let (len, id) = match tag {
            NAMED_USER | NAMED_GROUP => (8, u32_at(rest, 4)),
            _ if WITHOUT_ID.contains(&tag) => (4, NO_ID),
            _ => return None,
        };
        rest = rest.get(len..)?;
        if bytes.is_empty() {
            bytes.extend(SHOWN_VERSION.to_le_bytes());
        }
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_added_where_the_disk_has_none() {
        let disk = b"\x01\0\0\0\x01\0\x06\0\x02\0\x04\0\xe8\x03\0\0\x04\0\x05\0\x10\0\x07\0\x20\0\0\0";
        let expected = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
        assert_eq!(shown(disk).unwrap(), expected);
        assert_eq!(shown(b"\x01\0\0\0").unwrap(), b"");
        for bad in [&disk[..9], &disk[..14], b"", b"\x02\0\0\0", b"\x01\0\0\0\x40\0\0\0"] {
            assert_eq!(shown(bad), None);
        }
    }
}
