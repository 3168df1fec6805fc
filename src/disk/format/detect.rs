//! What an image is, from its first and last bytes. Its name is never asked.

use crate::disk::bytes::ReadAt;
use crate::disk::format::Format;
use crate::disk::format::qcow2;
use crate::disk::number::le32;
use crate::disk::partition;
use crate::error::Result;

/// Up to the superblock of btrfs.
pub const HEAD_BYTES: u64 = 128 << 10;
/// The footer of a vhd.
pub const TAIL_BYTES: u64 = 512;

pub const VDI_SIGNATURE: u32 = 0xbeda_107f;
pub const VMDK_MAGIC: &[u8] = b"KDMV";
pub const VMDK_DESCRIPTOR: &[u8] = b"# disk descriptorfile";
pub const VHD_COOKIE: &[u8] = b"conectix";
pub const VHDX_SIGNATURE: &[u8] = b"vhdxfile";

/// Says what bytes are that begin with `head` ([`HEAD_BYTES`] or all there are) and end with `tail`
/// ([`TAIL_BYTES`]); `None` when they are no disk that imgit knows.
///
/// Raw has no magic of its own: it is what a partition table, a boot sector or a file system says.
pub fn detect(head: &[u8], tail: &[u8]) -> Option<Format> {
    if head.starts_with(qcow2::MAGIC) {
        return Some(Format::Qcow2);
    }
    let text = head.get(..VMDK_DESCRIPTOR.len());
    if head.starts_with(VMDK_MAGIC)
        || head.starts_with(b"COWD")
        || text.is_some_and(|text| text.eq_ignore_ascii_case(VMDK_DESCRIPTOR))
    {
        return Some(Format::Vmdk);
    }
    if head.get(0x40..0x44).is_some_and(|field| le32(field, 0) == VDI_SIGNATURE) {
        return Some(Format::Vdi);
    }
    if head.starts_with(VHDX_SIGNATURE) {
        return Some(Format::Vhdx);
    }
    if head.starts_with(VHD_COOKIE) || tail.starts_with(VHD_COOKIE) {
        return Some(Format::Vhd);
    }
    let is_bootable = head.get(510..512) == Some(&[0x55, 0xaa]);
    let is_gpt =
        [512, 4_096].iter().any(|at| head.get(*at..).is_some_and(|rest| rest.starts_with(b"EFI PART")));
    let is_known = || partition::probe(&head.to_vec()).is_ok_and(|probe| probe.kind.is_known());
    (is_bootable || is_gpt || is_known()).then_some(Format::Raw)
}

/// [`detect`] with the bytes read from where they lie.
pub fn detect_in(file: &dyn ReadAt) -> Result<Option<Format>> {
    let size = file.size();
    let mut head = vec![0; size.min(HEAD_BYTES) as usize];
    file.read_at(0, &mut head)?;
    let mut tail = vec![0; size.min(TAIL_BYTES) as usize];
    file.read_at(size - tail.len() as u64, &mut tail)?;
    Ok(detect(&head, &tail))
}
