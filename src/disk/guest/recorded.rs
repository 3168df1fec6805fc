//! A guest that was read once and tells the same again: for tests, without an appliance.
//!
//! A recording is JSON, so that a person can see what is in it. Bytes that are no plain text stand in
//! it as `%ff`.

use super::Filesystem;
use super::Guest;
use super::Os;
use crate::attr::Attr;
use crate::attr::Time;
use crate::attr::Xattrs;
use crate::disk::files::FileBytes;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::path::TreePath;
use crate::progress::Progress;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// Recordings are of guests made for tests; their files stand in the recording.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    filesystems: Vec<Filesystem>,
    systems: Vec<Os>,
    /// By device.
    entries: BTreeMap<String, Vec<RecordedEntry>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedEntry {
    path: Text,
    mode: u32,
    owner: (u64, u64),
    mtime: (i64, u32),
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(Text, Text)>,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Dir,
    /// Runs of bytes; `Zeros` is how holes stay small.
    File(Vec<Run>),
    HardLink(Text),
    Symlink(Text),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    Socket,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Run {
    Bytes(Text),
    Zeros(u64),
}

/// Runs of zeros shorter than this stand among the bytes.
const ZEROS_MIN: usize = 64;

/// Bytes as a text that means only them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Text(Vec<u8>);

impl From<Text> for String {
    fn from(text: Text) -> String {
        let mut escaped = String::with_capacity(text.0.len());
        for byte in text.0 {
            match byte {
                b'%' | ..b' ' | 0x7f.. => escaped.push_str(&format!("%{byte:02x}")),
                plain => escaped.push(char::from(plain)),
            }
        }
        escaped
    }
}

impl TryFrom<String> for Text {
    type Error = String;
    fn try_from(escaped: String) -> Result<Text, String> {
        let mut bytes = Vec::with_capacity(escaped.len());
        let mut left = escaped.as_bytes();
        while let Some((first, rest)) = left.split_first() {
            left = rest;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(byte.ok_or_else(|| format!("`{escaped}` has a % without two digits"))?);
            left = &rest[2..];
        }
        Ok(Text(bytes))
    }
}

impl Recorded {
    /// Asks another guest everything, and reads all that can be read.
    pub fn of(guest: &mut dyn Guest, progress: &dyn Progress) -> Result<Recorded> {
        let filesystems = guest.filesystems(progress)?;
        let systems = guest.inspect(progress)?;
        let mut entries = BTreeMap::new();
        for filesystem in filesystems.iter().filter(|one| one.has_files()) {
            let mut recorder = Recorder(Vec::new());
            guest.read(&filesystem.device, &mut recorder, progress)?;
            entries.insert(filesystem.device.clone(), recorder.0);
        }
        Ok(Recorded { filesystems, systems, entries })
    }

    pub fn parse(json: &[u8]) -> Result<Recorded> {
        serde_json::from_slice(json).map_err(|err| Error::invalid("recording of a guest", err.to_string()))
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("every part of a recording has a JSON form");
        json.push(b'\n');
        json
    }
}

struct Recorder(Vec<RecordedEntry>);

impl FileSink for Recorder {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()> {
        let what = match found {
            Found::Dir => What::Dir,
            Found::File(FileBytes { size, from, .. }) => {
                if size > FILE_BYTES_MAX {
                    let thing = format!("recorded file {path}");
                    return Err(Error::Limit { thing, limit: FILE_BYTES_MAX, unit: "bytes" });
                }
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes).map_err(|err| from_stream(path.to_string(), err))?;
                What::File(runs(&bytes))
            }
            Found::HardLink(target) => What::HardLink(Text(target.as_bytes().to_vec())),
            Found::Symlink(target) => What::Symlink(Text(target.into_vec())),
            Found::CharDevice { major, minor } => What::CharDevice(major, minor),
            Found::BlockDevice { major, minor } => What::BlockDevice(major, minor),
            Found::Fifo => What::Fifo,
            Found::Socket => What::Socket,
        };
        let text = |bytes: &[u8]| Text(bytes.to_vec());
        self.0.push(RecordedEntry {
            path: text(path.as_bytes()),
            mode: attr.mode,
            owner: (attr.uid, attr.gid),
            mtime: (attr.mtime.secs, attr.mtime.nanos),
            xattrs: attr.xattrs.iter().map(|(name, value)| (text(name), text(value))).collect(),
            what,
        });
        Ok(())
    }
}

fn runs(bytes: &[u8]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        let zeros = left.iter().position(|byte| *byte != 0).unwrap_or(left.len());
        if zeros >= ZEROS_MIN {
            runs.push(Run::Zeros(zeros as u64));
            left = &left[zeros..];
            continue;
        }
        let len = left.windows(ZEROS_MIN).position(|window| window.iter().all(|byte| *byte == 0));
        let (run, rest) = left.split_at(len.unwrap_or(left.len()));
        runs.push(Run::Bytes(Text(run.to_vec())));
        left = rest;
    }
    runs
}

impl Guest for Recorded {
    fn filesystems(&mut self, _progress: &dyn Progress) -> Result<Vec<Filesystem>> {
        Ok(self.filesystems.clone())
    }

    fn inspect(&mut self, _progress: &dyn Progress) -> Result<Vec<Os>> {
        Ok(self.systems.clone())
    }

    fn read(&mut self, device: &str, sink: &mut dyn FileSink, progress: &dyn Progress) -> Result<()> {
        let entries = self.entries.get(device).ok_or_else(|| Error::not_found("file system", device))?;
        for entry in entries {
            crate::progress::check(progress)?;
            let attr = Attr {
                mode: entry.mode,
                uid: entry.owner.0,
                gid: entry.owner.1,
                mtime: Time { secs: entry.mtime.0, nanos: entry.mtime.1 },
                xattrs: Xattrs::new(
                    entry
                        .xattrs
                        .iter()
                        .map(|(name, value)| (name.0[..].into(), value.0[..].into()))
                        .collect(),
                ),
            };
            let path = TreePath::parse(&entry.path.0)?;
            match &entry.what {
                What::Dir => sink.put(path, attr, Found::Dir)?,
                What::File(runs) => {
                    let bytes = bytes_of(runs)?;
                    progress.advance(bytes.len() as u64);
                    let file = FileBytes { size: bytes.len() as u64, extents: &[], from: &mut &bytes[..] };
                    sink.put(path, attr, Found::File(file))?;
                }
                What::HardLink(target) => {
                    let target = TreePath::parse(&target.0)?;
                    sink.put(path, attr, Found::HardLink(target))?;
                }
                What::Symlink(target) => sink.put(path, attr, Found::Symlink(target.0[..].into()))?,
                What::CharDevice(major, minor) => {
                    sink.put(path, attr, Found::CharDevice { major: *major, minor: *minor })?
                }
                What::BlockDevice(major, minor) => {
                    sink.put(path, attr, Found::BlockDevice { major: *major, minor: *minor })?
                }
                What::Fifo => sink.put(path, attr, Found::Fifo)?,
                What::Socket => sink.put(path, attr, Found::Socket)?,
            }
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn bytes_of(runs: &[Run]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for run in runs {
        match run {
            Run::Bytes(text) => bytes.extend_from_slice(&text.0),
            Run::Zeros(len) if *len <= FILE_BYTES_MAX => bytes.resize(bytes.len() + *len as usize, 0),
            Run::Zeros(len) => {
                return Err(Error::invalid("recording of a guest", format!("has {len} zeros")));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_there_and_back() {
        let mut bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(Text::try_from(String::from(Text(bytes.clone()))), Ok(Text(bytes.clone())));
        assert!(Text::try_from("%f".to_owned()).is_err());
        bytes.extend([0; 100]);
        bytes.extend(b"end");
        let recorded = runs(&bytes);
        assert_eq!(recorded.len(), 3);
        assert_eq!(bytes_of(&recorded).unwrap(), bytes);
        assert_eq!(bytes_of(&runs(&[0; 100])).unwrap(), [0; 100]);
        assert_eq!(runs(&[0; 10]).len(), 1);
    }
}
