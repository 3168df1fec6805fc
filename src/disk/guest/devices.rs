//! The devices of a guest by the names its own system would give them, from the bytes of its disks:
//! disks, partitions, logical volumes, and what each holds.

use super::Filesystem;
use super::Partition;
use crate::disk::bytes::ReadAt;
use crate::disk::partition;
use crate::disk::partition::Kind;
use crate::disk::partition::Table;
use crate::disk::partition::lvm;
use crate::error::Error;
use crate::error::Result;
use std::sync::Arc;

/// Letters for the disks of a guest end at `/dev/sdz`.
const DISKS_MAX: usize = 26;

pub struct Devices {
    /// One for each disk.
    pub tables: Vec<Table>,
    pub devices: Vec<Device>,
    /// What could not be made sense of, one sentence each.
    pub problems: Vec<String>,
}

/// Something a file system may stand on.
pub struct Device {
    pub bytes: Arc<dyn ReadAt>,
    /// Where it lies, if that is one place on one disk: the number of the disk, the offset.
    pub place: Option<(usize, u64)>,
    pub filesystem: Filesystem,
    pub kind: Kind,
}

impl Devices {
    pub fn find(disks: &[Arc<dyn ReadAt>]) -> Result<Devices> {
        if disks.len() > DISKS_MAX {
            let thing = "number of disks of one guest".to_owned();
            return Err(Error::Limit { thing, limit: DISKS_MAX as u64, unit: "disks" });
        }
        let mut found = Devices { tables: Vec::new(), devices: Vec::new(), problems: Vec::new() };
        for (number, disk) in disks.iter().enumerate() {
            let name = format!("/dev/sd{}", char::from(b'a' + number as u8));
            let table = partition::read(&**disk)?;
            found.problems.extend(table.problems.iter().map(|problem| format!("{name}: {problem}")));
            if table.partitions.is_empty() {
                found.put(name.clone(), Arc::clone(disk), Some((number, 0)), Some((number, 0, "")))?;
            }
            for part in &table.partitions {
                let bytes: Arc<dyn ReadAt> = Arc::new(part.part(disk)?);
                let device = format!("{name}{}", part.number);
                found.put(
                    device,
                    bytes,
                    Some((number, part.start)),
                    Some((number, part.number, &part.uuid)),
                )?;
            }
            found.tables.push(table);
        }
        let named: Vec<(String, Arc<dyn ReadAt>)> = (found.devices.iter())
            .map(|device| (device.filesystem.device.clone(), Arc::clone(&device.bytes)))
            .collect();
        let volumes = lvm::volumes(&named)?;
        found.problems.extend(volumes.problems);
        for volume in volumes.volumes {
            found.put(volume.path(), volume.disk, None, None)?;
        }
        Ok(found)
    }

    /// By the name that [`Filesystem::device`] has.
    pub fn get(&self, device: &str) -> Option<&Device> {
        self.devices.iter().find(|found| found.filesystem.device == device)
    }

    fn put(
        &mut self,
        device: String,
        bytes: Arc<dyn ReadAt>,
        place: Option<(usize, u64)>,
        partition: Option<(usize, u32, &str)>,
    ) -> Result<()> {
        let probe = partition::probe(&*bytes)?;
        let filesystem = Filesystem {
            device,
            kind: probe.kind.name().to_owned(),
            label: probe.label,
            uuid: probe.uuid,
            part_uuid: partition.map(|(_, _, uuid)| uuid.to_lowercase()).filter(|uuid| !uuid.is_empty()),
            size: bytes.size(),
            partition: partition.map(|(disk, number, _)| Partition { disk: disk as u32, number }),
            subvolumes: Vec::new(),
        };
        self.devices.push(Device { bytes, place, filesystem, kind: probe.kind });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_a_table_is_one_device() {
        let disk: Arc<dyn ReadAt> = Arc::new(vec![0; 1 << 20]);
        let found = Devices::find(&[Arc::clone(&disk), disk]).unwrap();
        let names: Vec<&str> = found.devices.iter().map(|device| &device.filesystem.device[..]).collect();
        assert_eq!(names, ["/dev/sda", "/dev/sdb"]);
        assert_eq!(found.devices[1].place, Some((1, 0)));
        assert_eq!(found.devices[0].filesystem.kind, "zero");
        assert!(!found.devices[0].filesystem.has_files());
    }
}
