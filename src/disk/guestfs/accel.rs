//! KVM or emulation: found out by trying, and remembered.
//!
//! `/dev/kvm` that can be opened may still not work: inside some virtual machines qemu dies with
//! it, or hangs for ever. So the library is left its own choice first, under a time limit, and is
//! told to emulate when that fails. What worked is remembered for this process, and for a day and
//! as long as the host is not booted anew in a file of the caller's.

use crate::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The library's own choice: KVM where it can be opened.
    Auto,
    /// TCG: an emulated processor, five to ten times slower.
    Emulated,
}

/// A boot with KVM takes 2 to 4 seconds, and a second time is tried only without it.
pub const AUTO_SECONDS_MAX: u64 = 20;

const FILE: &str = "appliance";
const FILE_BYTES_MAX: u64 = 256;
/// A wrong guess, made while the host was overloaded, is not for ever.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

static FOUND: Mutex<Option<Accel>> = Mutex::new(None);

/// What is to be tried, in this order.
pub fn choices(cache: Option<&Path>) -> Vec<Accel> {
    if !can_open_kvm() {
        return vec![Accel::Emulated];
    }
    match found().or_else(|| cache.and_then(|folder| read(folder, &boot_id()?))) {
        Some(Accel::Emulated) => vec![Accel::Emulated],
        Some(Accel::Auto) | None => vec![Accel::Auto, Accel::Emulated],
    }
}

/// Remembers what worked. A cache that cannot be written costs a second try, no more.
pub fn remember(accel: Accel, cache: Option<&Path>) {
    *FOUND.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(accel);
    if let (Some(folder), Some(boot_id)) = (cache, boot_id())
        && read(folder, &boot_id) != Some(accel)
    {
        let text = format!("{} {boot_id}\n", word(accel));
        let _ = fs::create_dir_all(folder);
        let _ = fs::write_atomic(&folder.join(FILE), text.as_bytes());
    }
}

fn found() -> Option<Accel> {
    *FOUND.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn can_open_kvm() -> bool {
    use rustix::fs::Access;
    rustix::fs::access("/dev/kvm", Access::READ_OK | Access::WRITE_OK).is_ok()
}

fn boot_id() -> Option<String> {
    let bytes = fs::read_small(Path::new("/proc/sys/kernel/random/boot_id"), FILE_BYTES_MAX).ok()?;
    Some(String::from_utf8(bytes).ok()?.trim().to_owned())
}

fn read(folder: &Path, boot_id: &str) -> Option<Accel> {
    let path: PathBuf = folder.join(FILE);
    let age = fs::look(&path).ok()??.modified().ok()?.elapsed().ok()?;
    let text = String::from_utf8(fs::read_small(&path, FILE_BYTES_MAX).ok()?).ok()?;
    let (known, boot) = text.trim().split_once(' ')?;
    let accel = [Accel::Auto, Accel::Emulated].into_iter().find(|accel| word(*accel) == known)?;
    (age < KEPT && boot == boot_id).then_some(accel)
}

fn word(accel: Accel) -> &'static str {
    match accel {
        Accel::Auto => "auto",
        Accel::Emulated => "emulated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_believed_until_the_next_boot() {
        let folder = fs::temp_dir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(read(folder.path(), "b1"), None);
        fs::write_atomic(&path, b"emulated b1\n").unwrap();
        assert_eq!(read(folder.path(), "b1"), Some(Accel::Emulated));
        assert_eq!(read(folder.path(), "b2"), None);
        for damaged in [&b""[..], b"emulated", b"turbo b1", b"\xff b1", &[b'a'; 999]] {
            fs::write_atomic(&path, damaged).unwrap();
            assert_eq!(read(folder.path(), "b1"), None, "{damaged:?}");
        }
    }
}
