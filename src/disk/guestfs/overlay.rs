//! An empty qcow2 over each disk, so that the appliance may write and the disk stays as it is.
//!
//! libguestfs makes such overlays itself for a read-only drive, but then starts qemu without saying
//! what format the guest's own bytes have, and qemu probes them (seen with 1.48): a guest that writes
//! a qcow2 header with a backing file to its first sector would be shown any file of the host. So
//! we make them, name every format from the top to the bottom, and add them as disks to be written.

use crate::disk::guest::Image;
use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::path::shown;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

pub struct Overlays {
    /// Removed when dropped.
    folder: tempfile::TempDir,
}

impl Overlays {
    pub fn new() -> Result<Overlays> {
        Ok(Overlays { folder: fs::temp_dir()? })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, at: usize) -> PathBuf {
        self.folder.path().join(format!("{at}.qcow2"))
    }

    /// Makes the overlay of one disk. A disk that another qemu has open is no hindrance.
    pub fn make(&self, at: usize, image: &Image) -> Result<PathBuf> {
        let full = fs::canonical(&image.path)?;
        let Some(name) = full.to_str() else {
            return Err(Error::invalid(
                format!("path {}", full.display()),
                "is not UTF-8, as qemu wants the path of a disk",
            ));
        };
        let mut below = serde_json::json!({
            "driver": image.format,
            "file": { "driver": "file", "filename": name, "locking": "off" },
        });
        // Only these two formats know the word; of the others our own reader has refused a parent.
        if matches!(&image.format[..], "qcow2" | "vmdk") && !(image.format == "qcow2" && image.allow_backing)
        {
            below["backing"] = serde_json::Value::Null;
        }
        let path = self.path(at);
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "-F", &image.format, "-b", &format!("json:{below}")]);
        let output =
            command.arg(&path).stdin(Stdio::null()).output().map_err(Error::io("run", "qemu-img"))?;
        if output.status.success() {
            return Ok(path);
        }
        let said = output.stderr.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Err(Error::invalid(format!("disk {}", full.display()), format!("qemu-img says: {}", shown(said))))
    }
}
