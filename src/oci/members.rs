//! The members of an outer archive by their names: which files a tar holds, and where.

use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::fs::members::Member;
use crate::fs::members::scan;
use crate::oci::files::Files;
use crate::path::shown;
use std::collections::HashMap;
use std::io::Read;

/// A `docker save` of a hundred images has some thousands.
pub const MEMBERS_MAX: usize = 100_000;
/// Links to links; Linux gives up at 40.
const HOPS_MAX: usize = 16;

/// The index of one tar.
pub struct Members {
    file: SharedFile,
    members: HashMap<String, Member>,
}

impl Members {
    pub fn of(file: SharedFile) -> Result<Members> {
        let mut members = HashMap::new();
        let whole = scan(&file, MEMBERS_MAX, &mut |name, member| {
            // As when it is unpacked: of two members with one name the later stays.
            members.insert(name, member);
        })?;
        if !whole {
            return Err(Error::Limit {
                thing: format!("number of members of {}", file.path().display()),
                limit: MEMBERS_MAX as u64,
                unit: "members",
            });
        }
        Ok(Members { file, members })
    }

    /// Where a member's bytes are, links followed; `None` when it is not there.
    pub fn find(&self, name: &str) -> Result<Option<(u64, u64)>> {
        let mut name = name;
        for _ in 0..HOPS_MAX {
            match self.members.get(name) {
                None => return Ok(None),
                Some(Member::File { offset, len }) => return Ok(Some((*offset, *len))),
                Some(Member::Link(target)) => name = target,
            }
        }
        Err(Error::invalid(
            format!("{} in {}", shown(name.as_bytes()), self.place()),
            format!("is a link to a link, more than {HOPS_MAX} deep"),
        ))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }
}

impl Files for Members {
    fn open(&self, name: &str) -> Result<Option<(u64, Box<dyn Read + Send>)>> {
        let Some((offset, len)) = self.find(name)? else {
            return Ok(None);
        };
        Ok(Some((len, Box::new(self.file.window(offset, len)))))
    }

    fn place(&self) -> String {
        self.file.path().display().to_string()
    }

    fn is_there(&self, name: &str) -> bool {
        matches!(self.find(name), Ok(Some(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(bytes: &[u8]) -> SharedFile {
        SharedFile::new(crate::fs::spool(&mut &bytes[..], "test").unwrap(), "a.tar").unwrap()
    }

    fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().unwrap()
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, text: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }

    fn link(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }

    fn text(members: &Members, name: &str) -> Option<String> {
        let (_, reader) = members.open(name).unwrap()?;
        Some(std::io::read_to_string(reader).unwrap())
    }

    #[test]
    fn files_and_links_are_found_by_name() {
        use tar::EntryType::Link;
        use tar::EntryType::Symlink;
        let long = format!("long/{}", "n".repeat(200));
        let bytes = archive(|tar| {
            file(tar, "./a/layer.tar", "first");
            file(tar, "a/layer.tar", "second");
            file(tar, &long, "long");
            link(tar, Symlink, "b/layer.tar", "../a/layer.tar");
            link(tar, Link, "c/layer.tar", "b/layer.tar");
            link(tar, Symlink, "d", &long);
            link(tar, Symlink, "out", "../../etc/passwd");
            link(tar, Symlink, "loop", "loop");
            link(tar, Symlink, "absolute", "/a/layer.tar");
        });
        let members = Members::of(shared(&bytes)).unwrap();
        for (name, content) in [
            ("a/layer.tar", Some("second")),
            ("b/layer.tar", Some("second")),
            ("c/layer.tar", Some("second")),
            ("absolute", Some("second")),
            (&long, Some("long")),
            ("d", Some("long")),
            ("out", None),
            ("none", None),
        ] {
            assert_eq!(text(&members, name).as_deref(), content, "{name}");
        }
        assert!(members.find("loop").is_err());
    }

    #[test]
    fn pax_names_and_sizes_win() {
        let bytes = archive(|tar| {
            tar.append_pax_extensions([("path", &b"pax/name"[..]), ("comment", b"x")]).unwrap();
            file(tar, "short", "text");
        });
        assert_eq!(text(&Members::of(shared(&bytes)).unwrap(), "pax/name").unwrap(), "text");
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let good = archive(|tar| file(tar, "file", &"x".repeat(600)));
        assert!(Members::of(shared(&good)).is_ok());
        // Without its end blocks, as Go takes it.
        assert!(Members::of(shared(&good[..512 + 1024])).is_ok());
        assert!(Members::of(shared(b"")).unwrap().members.is_empty());
        let mut bad = good.clone();
        bad[0] ^= 1;
        let mut second = [&good[..512 + 1024], &good[..]].concat();
        second[512 + 1024] ^= 1;
        let escape = archive(|tar| {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..7].copy_from_slice(b"../evil");
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, &b""[..]).unwrap();
        });
        let long_name = archive(|tar| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::GNULongName);
            header.set_size(2 << 20);
            header.set_cksum();
            tar.append(&header, std::io::repeat(b'a').take(2 << 20)).unwrap();
        });
        let mut huge = tar::Header::new_gnu();
        huge.set_size(u64::MAX >> 2);
        huge.set_cksum();
        for (bytes, words) in [
            (&good[..700], "ends in the middle of a member"),
            (&good[..100], "ends in the middle of a header"),
            (&bad, "is not a tar archive (at byte 0)"),
            (&second, "damaged header (at byte 1536)"),
            (&escape, "points outside its root"),
            (&long_name, "limit of 1048576 bytes"),
            (huge.as_bytes(), "ends in the middle of a member"),
        ] {
            let err = Members::of(shared(bytes)).err().expect(words).to_string();
            assert!(err.contains(words), "{err}");
        }
    }
}
