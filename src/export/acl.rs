//! POSIX ACLs from the kernel's bytes to the text that tar files have.
//!
//! Container tools keep an ACL in a tar file as the extended attribute it is; bsdtar and star
//! look only at `SCHILY.acl.access` and `SCHILY.acl.default`.

/// `system.posix_acl_*`: a version, then 8 bytes for each entry. Linux `posix_acl_xattr.h`.
const VERSION: [u8; 4] = 2u32.to_le_bytes();

/// Returns the short text form, `user::rw-,user:1000:r--,…`; `None` for bytes that are no ACL.
pub fn text(value: &[u8]) -> Option<String> {
    let entries = value.strip_prefix(&VERSION)?;
    if entries.is_empty() || !entries.len().is_multiple_of(8) {
        return None;
    }
    let mut parts = Vec::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let perm = u16::from_le_bytes([entry[2], entry[3]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let whom = match tag {
            0x01 => "user:".to_string(),
            0x02 => format!("user:{id}"),
            0x04 => "group:".to_string(),
            0x08 => format!("group:{id}"),
            0x10 => "mask:".to_string(),
            0x20 => "other:".to_string(),
            _ => return None,
        };
        let letter = |bit: u16, letter: char| if perm & bit != 0 { letter } else { '-' };
        let (read, write, run) = (letter(4, 'r'), letter(2, 'w'), letter(1, 'x'));
        parts.push(format!("{whom}:{read}{write}{run}"));
    }
    Some(parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_bytes_read_as_getfacl_shows_them() {
        let mut bytes = VERSION.to_vec();
        for (tag, perm, id) in
            [(1u16, 6u16, u32::MAX), (2, 4, 1000), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)]
        {
            bytes.extend([tag.to_le_bytes(), perm.to_le_bytes()].concat());
            bytes.extend(id.to_le_bytes());
        }
        assert_eq!(text(&bytes).unwrap(), "user::rw-,user:1000:r--,group::r-x,mask::rwx,other::---");
        for bad in [&bytes[..10], b"", &VERSION, b"\x03\0\0\0aaaaaaaa", b"\x02\0\0\0\x40\0\0\0\0\0\0\0"] {
            assert_eq!(text(bad), None);
        }
    }
}
