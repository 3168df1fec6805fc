//! A tar told entry by entry, payloads as they come: for those who keep neither the tar nor a recipe.
//!
//! Same headers and records as [`super::read`], with other aims: names mean themselves (no
//! whiteouts), an extended attribute may be empty, and everything that an engine would let pass
//! (half an entry, bytes that are no tar, unknown types) is an error.

use super::Limits;
use super::header::Halt;
use super::pax::Pax;
use super::pax::SCHILY_XATTR;
use super::read::Buffered;
use super::walk;
use super::walk::Head;
use super::walk::Headers;
use crate::attr::Attr;
use crate::attr::Xattrs;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::path::TreePath;
use crate::path::shown;
use std::io;
use std::io::Read;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub path: TreePath,
    pub attr: Attr,
    pub what: MemberKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    File { size: u64 },
    Dir,
    Symlink(Box<[u8]>),
    Hardlink { target: TreePath },
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// Reads `tar` to the end of the archive and calls `each` for every entry, with a file's bytes.
///
/// `each` reads a file to its end or fails. Errors say `thing` for the tar. What follows the end
/// of the archive is not read. A tar that is cut between two entries looks whole: whoever sends it
/// must say how it ended.
pub fn read(
    tar: &mut dyn Read,
    thing: &str,
    limits: &Limits,
    each: &mut dyn FnMut(Member, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut stream = Stream { tar: Buffered::new(tar), thing };
    let mut entries = 0;
    loop {
        let at = stream.at();
        let told = next(&mut stream, limits).map_err(|halt| match halt {
            Halt::Fault(err) => err,
            Halt::Unread(problem) => Error::invalid(format!("{thing}, at byte {at}"), problem),
        });
        let Some(member) = told? else {
            return Ok(());
        };
        entries += 1;
        if entries > limits.entries {
            let thing = format!("the number of entries of the {thing}");
            return Err(Error::Limit { thing, limit: limits.entries, unit: "entries" });
        }
        let size = match member.what {
            MemberKind::File { size } => size,
            _ => 0,
        };
        let path = member.path.clone();
        let mut payload = Payload { stream: &mut stream, left: size, short: false };
        let done = each(member, &mut payload);
        let (left, short) = (payload.left, payload.short);
        // What broke here is the cause, whatever was made of it.
        if short {
            let found = format!("{} before the end of the {thing}", size - left);
            return Err(Error::Mismatch {
                thing: path.to_string(),
                expected: format!("{size} bytes"),
                found,
            });
        }
        done?;
        if left > 0 {
            let expected = format!("all of its {size} bytes to be read");
            return Err(Error::Mismatch { thing: path.to_string(), expected, found: format!("{left} left") });
        }
        walk::skip_padding(&mut stream, size)?;
    }
}

fn next(stream: &mut Stream<'_, '_>, limits: &Limits) -> Result<Option<Member>, Halt> {
    let Some(Head { header, pax, .. }) = walk::head(stream, limits)? else {
        return Ok(None);
    };
    let path = walk::path(&header.name, limits)?;
    let what = match header.flag {
        b'0' | b'7' if !pax.as_ref().is_some_and(is_sparse) => {
            // Negative sizes are refused with the header, those of records here.
            let size = u64::try_from(header.size).map_err(|_| Halt::Unread("negative size".into()))?;
            MemberKind::File { size }
        }
        b'1' => MemberKind::Hardlink { target: walk::path(&header.link, limits)? },
        b'2' => {
            walk::within(&header.link, limits)?;
            MemberKind::Symlink(header.link.as_slice().into())
        }
        b'3' => {
            let (major, minor) = walk::device(&header)?;
            MemberKind::CharDevice { major, minor }
        }
        b'4' => {
            let (major, minor) = walk::device(&header)?;
            MemberKind::BlockDevice { major, minor }
        }
        b'5' => MemberKind::Dir,
        b'6' => MemberKind::Fifo,
        flag => {
            let problem = format!("is of a type that is not expected here, {:?}", char::from(flag));
            return Err(Error::invalid(format!("entry `{}`", shown(&header.name)), problem).into());
        }
    };
    let attr = Attr {
        mode: (header.mode & 0o7777) as u32,
        uid: walk::owner(header.uid),
        gid: walk::owner(header.gid),
        mtime: header.mtime,
        xattrs: pax.as_ref().map(xattrs).unwrap_or_default(),
    };
    Ok(Some(Member { path, attr, what }))
}

fn is_sparse(pax: &Pax) -> bool {
    !pax.sparse_pairs.is_empty() || pax.records().any(|(key, _)| key.starts_with(b"GNU.sparse."))
}

fn xattrs(pax: &Pax) -> Xattrs {
    let named = |(key, value): (&[u8], &[u8])| match key.strip_prefix(SCHILY_XATTR) {
        Some(name) if !name.is_empty() => Some((name.into(), value.into())),
        _ => None,
    };
    Xattrs::new(pax.records().filter_map(named).collect())
}

struct Stream<'a, 't> {
    tar: Buffered<'a>,
    thing: &'t str,
}

impl Headers for Stream<'_, '_> {
    fn raw(&mut self, into: &mut [u8]) -> Result<usize> {
        self.tar.read_full(into).map_err(|err| from_stream(self.thing, err))
    }

    fn at(&self) -> u64 {
        self.tar.at
    }
}

struct Payload<'p, 'a, 't> {
    stream: &'p mut Stream<'a, 't>,
    left: u64,
    short: bool,
}

impl Read for Payload<'_, '_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(0);
        }
        match self.stream.tar.read(&mut into[..len])? {
            0 => {
                self.short = true;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            len => {
                self.left -= len as u64;
                Ok(len)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Time;
    use crate::layer::testing;

    fn told(tar: &[u8]) -> Result<Vec<(Member, Vec<u8>)>> {
        let mut members = Vec::new();
        read(&mut &*tar, "tar", &Limits::default(), &mut |member, bytes| {
            let mut all = Vec::new();
            bytes.read_to_end(&mut all).map_err(|err| from_stream("payload", err))?;
            members.push((member, all));
            Ok(())
        })?;
        Ok(members)
    }

    #[test]
    fn names_mean_themselves_and_values_may_be_empty() {
        let records: [&[u8]; 4] =
            [b"SCHILY.xattr.user.a=1\n=\n", b"SCHILY.xattr.user.empty=", b"mtime=-1.25", b"uid=3000000000"];
        let tar = [
            testing::pax(b'x', &records),
            testing::member(b"./.wh.a", b'0', b"hidden"),
            testing::link(b"./b", b'1', b"./.wh.a"),
            testing::member(b"./d/", b'5', b""),
            testing::end(),
            b"whatever follows".to_vec(),
        ];
        let found = told(&tar.concat()).unwrap();
        let (first, bytes) = &found[0];
        assert_eq!((first.path.to_string(), &bytes[..]), ("/.wh.a".into(), &b"hidden"[..]));
        assert_eq!(first.attr.mtime, Time { secs: -2, nanos: 750_000_000 });
        assert_eq!(first.attr.uid, 3_000_000_000);
        let xattrs: Vec<_> = first.attr.xattrs.iter().collect();
        assert_eq!(xattrs, [(&b"user.a"[..], &b"1\n=\n"[..]), (b"user.empty", b"")]);
        assert_eq!(found[1].0.what, MemberKind::Hardlink { target: first.path.clone() });
        assert_eq!((found[2].0.path.to_string(), &found[2].0.what), ("/d".into(), &MemberKind::Dir));
    }

    #[test]
    fn half_an_entry_unread_bytes_and_other_types_are_errors() {
        let file = testing::member(b"a", b'0', &[7; 600]);
        let check = |tar: &[u8], expected: &str| assert_eq!(told(tar).unwrap_err().to_string(), expected);
        check(&file[..700], "/a: expected 600 bytes, found 188 before the end of the tar");
        check(&file[..300], "tar, at byte 0: ends inside a header, after 300 bytes of 512");
        check(&[1; 512], "tar, at byte 0: not a tar header: wrong checksum");
        check(&testing::member(b"s", b'S', b""), "entry `s`: is of a type that is not expected here, 'S'");
        let mut each = |_: Member, _: &mut dyn Read| Ok(());
        let err = read(&mut &file[..], "tar", &Limits::default(), &mut each).unwrap_err();
        assert_eq!(err.to_string(), "/a: expected all of its 600 bytes to be read, found 600 left");
    }
}
