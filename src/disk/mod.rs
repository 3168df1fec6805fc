//! VM disks: the bytes of a guest's disk, the file systems on them, and the recipe that is the disk
//! without the files it holds.
//!
//! ```text
//! file of some format -> bytes (ReadAt) -> partitions -> file systems -> files (FileSink)
//!                            '------------- skeleton: zero | content | residue --------'
//! ```
//! Formats, partition tables and native file-system readers turn untrusted bytes into values: none
//! of them panics, follows a path on the host, or costs more memory than its named limits.

pub mod bytes;
pub mod document;
pub mod files;
pub mod format;
pub mod guest;
pub mod guestfs;
pub mod joined;
pub mod machine;
pub mod native;
mod number;
pub mod partition;
pub mod skeleton;
#[doc(hidden)]
pub mod testing;
