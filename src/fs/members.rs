//! The members of a tar on disk: which files it holds, and where.
//!
//! One pass over the headers, no member is read. Names are only ever looked up: none becomes a
//! path on the host. Written out rather than taken from the tar crate, which reads a long name of
//! any claimed length into memory. What Go's archive/tar takes is taken: the engines use it.

use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::path::TreePath;
use crate::path::shown;
use std::io::Read;

const BLOCK: u64 = 512;
/// Long names and PAX records of one member: Go's limit.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    File {
        offset: u64,
        len: u64,
    },
    /// The name that it stands for, already relative to the root of the archive.
    Link(String),
}

/// Calls `each` for files and links, up to `members_max` members of any kind; says whether that was all.
///
/// Names that are not UTF-8 are passed over: nobody can ask for them.
pub fn scan(file: &SharedFile, members_max: usize, each: &mut dyn FnMut(String, Member)) -> Result<bool> {
    let mut scan = Scan { file, at: 0, long: Overrides::default() };
    for _ in 0..members_max {
        match scan.next()? {
            Some(Some((name, member))) => each(name, member),
            Some(None) => {}
            None => return Ok(true),
        }
    }
    Ok(scan.next()?.is_none())
}

/// Says whether the first header is one.
pub fn begins_as_tar(file: &SharedFile) -> Result<bool> {
    let mut head = Vec::new();
    file.window(0, BLOCK).read_to_end(&mut head).map_err(Error::io("read", file.path()))?;
    let header = <[u8; BLOCK as usize]>::try_from(head);
    Ok(header.is_ok_and(|header| header[0] != 0 && checksum_holds(&header)))
}

/// What GNU long names and PAX records say of the member that follows them.
#[derive(Default)]
struct Overrides {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

struct Scan<'a> {
    file: &'a SharedFile,
    at: u64,
    long: Overrides,
}

impl Scan<'_> {
    fn bad(&self, problem: impl std::fmt::Display) -> Error {
        Error::invalid(
            format!("archive {}", self.file.path().display()),
            format!("{problem} (at byte {})", self.at),
        )
    }

    fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.window(offset, len).read_to_end(&mut bytes).map_err(Error::io("read", self.file.path()))?;
        if (bytes.len() as u64) < len {
            return Err(self.bad("ends in the middle of a member"));
        }
        Ok(bytes)
    }

    /// The next member; `Some(None)` for one that is neither file nor link, `None` at the end.
    fn next(&mut self) -> Result<Option<Option<(String, Member)>>> {
        loop {
            // Like Go: an archive may end without the two blocks of zeros.
            if self.at >= self.file.len() {
                return Ok(None);
            }
            let block = self.read(self.at, BLOCK.min(self.file.len() - self.at))?;
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let Ok(header) = <[u8; BLOCK as usize]>::try_from(block) else {
                return Err(self.bad("ends in the middle of a header"));
            };
            if !checksum_holds(&header) {
                let what = if self.at == 0 { "is not a tar archive" } else { "has a damaged header" };
                return Err(self.bad(what));
            }
            let kind = header[156];
            let in_header =
                number(&header[124..136]).ok_or_else(|| self.bad("has a size that is no number"))?;
            // Go: these have no bytes, whatever size they claim.
            let has_no_bytes = matches!(kind, b'1'..=b'6');
            let is_extension = matches!(kind, b'L' | b'K' | b'x' | b'g');
            let len = match has_no_bytes {
                true => 0,
                false if is_extension => in_header,
                false => self.long.size.unwrap_or(in_header),
            };
            let offset = self.at + BLOCK;
            let end = len
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| offset.checked_add(padded))
                .filter(|_| offset + len <= self.file.len())
                .ok_or_else(|| self.bad("ends in the middle of a member"))?;
            if is_extension {
                self.extend(kind, offset, len)?;
                self.at = end;
                continue;
            }
            let long = std::mem::take(&mut self.long);
            let member = self.member(&header, long, offset, len)?;
            self.at = end;
            return Ok(Some(member));
        }
    }

    fn extend(&mut self, kind: u8, offset: u64, len: u64) -> Result<()> {
        // Global records say nothing of names or sizes that any writer means.
        if kind == b'g' {
            return Ok(());
        }
        if len > EXTENSION_BYTES_MAX {
            return Err(Error::Limit {
                thing: format!("name of a member of {}", self.file.path().display()),
                limit: EXTENSION_BYTES_MAX,
                unit: "bytes",
            });
        }
        let bytes = self.read(offset, len)?;
        match kind {
            b'L' => self.long.name = Some(until_nul(&bytes).to_vec()),
            b'K' => self.long.link = Some(until_nul(&bytes).to_vec()),
            _ => self.pax(&bytes)?,
        }
        Ok(())
    }

    /// `LEN KEY=VALUE\n`, where LEN counts all of it.
    fn pax(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let record = (|| {
                let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
                let len: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
                let record = bytes.get(space + 1..len)?.strip_suffix(b"\n")?;
                let equals = record.iter().position(|byte| *byte == b'=')?;
                Some((len, &record[..equals], &record[equals + 1..]))
            })();
            let Some((len, key, value)) = record else {
                return Err(self.bad("has a damaged PAX record"));
            };
            match key {
                b"path" => self.long.name = Some(value.to_vec()),
                b"linkpath" => self.long.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.long.size = Some(size.ok_or_else(|| self.bad("has a size that is no number"))?);
                }
                _ if key.starts_with(b"GNU.sparse.") => self.long.sparse = true,
                _ => {}
            }
            bytes = &bytes[len..];
        }
        Ok(())
    }

    fn member(
        &self,
        header: &[u8; 512],
        long: Overrides,
        offset: u64,
        len: u64,
    ) -> Result<Option<(String, Member)>> {
        let raw = long.name.unwrap_or_else(|| {
            let (name, prefix) = (until_nul(&header[..100]), until_nul(&header[345..500]));
            match &header[257..263] == b"ustar\0" && !prefix.is_empty() {
                true => [prefix, b"/", name].concat(),
                false => name.to_vec(),
            }
        });
        let kind = header[156];
        if kind == b'S' || long.sparse {
            return Err(self.bad(format_args!(
                "has `{}` as a sparse file, which imgit does not read here",
                shown(&raw)
            )));
        }
        let is_file = matches!(kind, b'0' | 0 | b'7') && !raw.ends_with(b"/");
        if !is_file && !matches!(kind, b'1' | b'2') {
            return Ok(None);
        }
        let path = TreePath::parse(&raw)?;
        let Ok(name) = String::from_utf8(path.as_bytes().to_vec()) else {
            return Ok(None);
        };
        if is_file {
            return Ok(Some((name, Member::File { offset, len })));
        }
        let link = long.link.unwrap_or_else(|| until_nul(&header[157..257]).to_vec());
        // A hard link names a member, a symlink what lies beside it.
        let from = match kind {
            b'2' if !link.starts_with(b"/") => path.split().map_or(TreePath::root(), |(folder, _)| folder),
            _ => TreePath::root(),
        };
        Ok(joined(&from, &link).map(|target| (name, Member::Link(target))))
    }
}

/// Follows `..` in words only; a way out of the archive leads nowhere.
fn joined(from: &TreePath, link: &[u8]) -> Option<String> {
    let mut parts: Vec<&[u8]> = from.parts().collect();
    for part in link.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    String::from_utf8(parts.join(&b'/')).ok()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The sum of the bytes with the sum itself as spaces; some old writers summed signed bytes.
fn checksum_holds(header: &[u8; 512]) -> bool {
    let Some(stored) = number(&header[148..156]) else {
        return false;
    };
    let bytes =
        header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let unsigned: u64 = bytes.clone().map(u64::from).sum();
    let signed: i64 = bytes.map(|byte| i64::from(byte as i8)).sum();
    stored == unsigned || i64::try_from(stored) == Ok(signed)
}

/// Octal, or with the first bit set a big-endian number; negative ones make no sense here.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        if field[0] & 0x40 != 0 {
            return None;
        }
        let bytes = std::iter::once(field[0] & 0x3f).chain(field[1..].iter().copied());
        return bytes.into_iter().try_fold(0u64, |sum, byte| sum.checked_mul(256)?.checked_add(byte.into()));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(|letter| letter == ' ' || letter == '\0');
    match text {
        "" => Some(0),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => u64::from_str_radix(text, 8).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_stops_at_its_bound() {
        let mut tar = tar::Builder::new(Vec::new());
        for name in ["a", "b"] {
            tar.append_data(&mut tar::Header::new_gnu(), name, &b""[..]).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        let file = SharedFile::new(crate::fs::spool(&mut &bytes[..], "test").unwrap(), "a.tar").unwrap();
        let mut names = Vec::new();
        assert!(!scan(&file, 1, &mut |name, _| names.push(name)).unwrap());
        assert!(scan(&file, 2, &mut |name, _| names.push(name)).unwrap());
        assert_eq!(names, ["a", "a", "b"]);
    }
}
