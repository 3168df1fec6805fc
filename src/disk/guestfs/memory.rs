//! How much memory the appliance takes: what its machine has, and what qemu keeps beside it.
//!
//! Left alone, qemu takes 1.2 GB: what its machine has (1280 MB), filled with pages that were read once,
//! and without KVM the code that it has translated, 250 MB after one disk and 830 after eight. With
//! what is chosen here it takes 390 MB for a disk of any size, in the same time: 256 MB read ext4, xfs,
//! btrfs and NTFS as fast as 1280 do. For the cache of code qemu has an option that libguestfs has
//! no word for, and `-accel` beside its `-machine accel=` is refused: a script in front of qemu puts it
//! there, as guestfs(3) says under "QEMU WRAPPERS".

use super::ffi::Handle;
use crate::error::Result;
use crate::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// Of the machine. A LUKS header may ask for up to 1 GiB to open it: with keys the library's own
/// choice stands.
const MACHINE_MB: i32 = 256;

/// Of translated code. A boot takes 17.2 s of a processor with it, 20.2 with half of it, 16.2 with twice
/// as much, 16.0 with the GiB that qemu takes by itself.
const CODE_MB: u32 = 64;

/// Chooses for a machine with KVM or without, where the user's variables do not.
pub fn choose(handle: &Handle, has_keys: bool, wrapper: Option<&Path>) -> Result<()> {
    if !has_keys && std::env::var_os("LIBGUESTFS_MEMSIZE").is_none() {
        handle.set_memsize(MACHINE_MB)?;
    }
    match wrapper {
        Some(wrapper) => handle.set_hv(wrapper),
        None => Ok(()),
    }
}

/// Writes the script into `folder`. `None` where the user has one, or none can be run from there: then
/// the appliance does without.
pub fn wrapper(handle: &Handle, folder: &Path) -> Option<PathBuf> {
    if ["LIBGUESTFS_HV", "LIBGUESTFS_QEMU"].iter().any(|name| std::env::var_os(name).is_some()) {
        return None;
    }
    let qemu = handle.hv().ok()?;
    let path = folder.join("qemu");
    // The library asks a program that it has not seen for its abilities, which takes a second, and knows
    // it again by size and time.
    let time = fs::metadata(qemu.as_ref()).ok()?.modified().ok()?;
    fs::write_program(&path, script(&qemu)?.as_bytes(), time).ok()?;
    let mut command = Command::new(&path);
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success()).then_some(path)
}

/// `None` for a path that would be more than a path to a shell.
fn script(qemu: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    qemu.bytes().all(is_plain).then(|| {
        format!(
            r#"#!/bin/sh
left=$#
while [ "$left" -gt 0 ]; do
    case "$1 $2" in
        "-machine accel=tcg")
            set -- "$@" -accel tcg,tb-size={CODE_MB}
            shift 2
            left=$((left - 2)) ;;
        "-machine "*,accel=tcg)
            set -- "$@" -machine "${{2%,accel=tcg}}" -accel tcg,tb-size={CODE_MB}
            shift 2
            left=$((left - 2)) ;;
        *)
            set -- "$@" "$1"
            shift
            left=$((left - 1)) ;;
    esac
done
exec {qemu} "$@"
"#
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What qemu is started with when the library starts it with `words`.
    fn check(words: &[&str], expected: &str) {
        let script = script("/bin/echo").unwrap();
        let output = Command::new("sh").args(["-c", &script, "qemu"]).args(words).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), expected);
    }

    #[test]
    fn the_script_changes_one_option_and_nothing_else() {
        check(&["-help"], "-help");
        check(
            &["-m", "256", "-machine", "accel=tcg", "-cpu", "max"],
            "-m 256 -accel tcg,tb-size=64 -cpu max",
        );
        check(&["-machine", "q35,accel=tcg", "-x"], "-machine q35 -accel tcg,tb-size=64 -x");
        check(&["-machine", "accel=kvm:tcg", "-append", "a  b", ""], "-machine accel=kvm:tcg -append a  b");
        check(&["-machine"], "-machine");
        assert_eq!(script("/opt/my qemu/$(id)"), None);
    }
}
