//! The descriptor of a vmdk: lines of text that say of which extents the disk is made.

use crate::disk::format::source::Source;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;

/// Tools write 20 sectors; one line an extent.
pub const DESCRIPTOR_BYTES_MAX: u64 = 1 << 20;
/// Each is an open file. 1 TB in pieces of 2 GB.
const EXTENTS_MAX: usize = 512;
const NO_PARENT: &str = "ffffffff";

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// `monolithicSparse`, `streamOptimized` and so on; empty where it is not told.
    pub create_type: String,
    pub extents: Vec<Extent>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Extent {
    /// 512 bytes each.
    pub sectors: u64,
    pub kind: ExtentKind,
}

#[derive(Debug, PartialEq, Eq)]
pub enum ExtentKind {
    Zero,
    Sparse {
        name: String,
    },
    /// Sectors of the file, from this one on.
    Flat {
        name: String,
        first: u64,
    },
}

impl Descriptor {
    /// Reads up to the first zero byte, and refuses a disk that has a parent.
    pub fn parse(source: &Source, bytes: &[u8]) -> Result<Descriptor> {
        let mut descriptor = Descriptor::default();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        for line in text.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(extent) = Extent::parse(source, line)? {
                if descriptor.extents.len() == EXTENTS_MAX {
                    let thing = format!("number of extents of {}", source.name);
                    return Err(Error::Limit { thing, limit: EXTENTS_MAX as u64, unit: "extents" });
                }
                descriptor.extents.push(extent);
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match key.trim() {
                "createType" => descriptor.create_type = shown(value.as_bytes()),
                "parentCID" if !value.eq_ignore_ascii_case(NO_PARENT) => {
                    return Err(source.invalid(
                        "is the difference to a parent disk, which imgit does not open: export the whole disk",
                    ));
                }
                // Without a parent it means nothing, and QEMU opens the file all the same.
                "parentFileNameHint" => {
                    return Err(source
                        .invalid("names a parent disk, which imgit does not open: export the whole disk"));
                }
                _ => {}
            }
        }
        Ok(descriptor)
    }
}

impl Extent {
    /// `RW 4192256 SPARSE "disk-s001.vmdk"`; `None` for a line of another sort.
    fn parse(source: &Source, line: &str) -> Result<Option<Extent>> {
        let mut words = line.splitn(4, char::is_whitespace);
        let (Some(access), Some(sectors), Some(kind)) = (words.next(), words.next(), words.next()) else {
            return Ok(None);
        };
        if !matches!(access, "RW" | "RDONLY" | "NOACCESS") {
            return Ok(None);
        }
        let wrong =
            || source.invalid(format!("has an extent nobody understands: {}", shown(line.as_bytes())));
        let sectors = sectors.parse().map_err(|_| wrong())?;
        let mut quoted = words.next().unwrap_or_default().trim().splitn(3, '"');
        let name = match (quoted.next(), quoted.next()) {
            (Some(""), Some(name)) => name.to_string(),
            _ if kind == "ZERO" => String::new(),
            _ => return Err(wrong()),
        };
        let first = match quoted.next().unwrap_or_default().split_whitespace().next() {
            Some(first) => first.parse().map_err(|_| wrong())?,
            None => 0,
        };
        let kind = match kind {
            "ZERO" => ExtentKind::Zero,
            "SPARSE" => ExtentKind::Sparse { name },
            "FLAT" | "VMFS" => ExtentKind::Flat { name, first },
            other => {
                let other = shown(other.as_bytes());
                return Err(
                    source.invalid(format!("has an extent of type {other}, which imgit does not read"))
                );
            }
        };
        Ok(Some(Extent { sectors, kind }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn parse(text: &str) -> Result<Descriptor> {
        let source = Source { file: Arc::new(Vec::new()), name: "a.vmdk".into(), folder: None };
        Descriptor::parse(&source, text.as_bytes())
    }

    #[test]
    fn extents_and_type_are_read_and_the_rest_passed_over() {
        let text = "# Disk DescriptorFile\r\nversion=1\r\nCID=123a\nparentCID=ffffffff\n\
            createType=\"twoGbMaxExtentFlat\"\n\n# Extent description\n\
            RW 4192256 FLAT \"a f001.vmdk\" 16\nRW 9 SPARSE \"b\"\nNOACCESS 7 ZERO\n\
            ddb.adapterType = \"ide\"\n\0RW 1 ZERO";
        let found = parse(text).unwrap();
        assert_eq!(found.create_type, "twoGbMaxExtentFlat");
        let flat = ExtentKind::Flat { name: "a f001.vmdk".into(), first: 16 };
        let sparse = ExtentKind::Sparse { name: "b".into() };
        assert_eq!(
            found.extents,
            [
                Extent { sectors: 4_192_256, kind: flat },
                Extent { sectors: 9, kind: sparse },
                Extent { sectors: 7, kind: ExtentKind::Zero }
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, words) in [
            ("parentCID=deadbeef", "difference to a parent"),
            ("RW x SPARSE \"a\"", "nobody understands: RW x"),
            ("RW 1 SPARSE a", "nobody understands"),
            ("RW 1 FLAT \"a\" -1", "nobody understands"),
            ("RW 1 SESPARSE \"a\"", "of type SESPARSE"),
            (&"RW 1 ZERO\n".repeat(513), "over the limit of 512 extents"),
        ] {
            let problem = parse(text).unwrap_err().to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
