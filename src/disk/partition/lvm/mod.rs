//! LVM2: logical volumes as disks of their own, put together from segments of physical volumes.
//!
//! Linear and striped segments are read; a volume of any other kind (mirror, raid, thin, cache,
//! snapshot) is told as a problem, by that name, and its bytes stay what they are on the physical
//! volumes. Format: LVM2, `lib/format_text/layout.h`.

mod label;
#[doc(hidden)]
pub mod testing;
mod text;

pub use label::Label;
pub use label::dashed;
pub use label::read as read_label;

use crate::disk::bytes::Part;
use crate::disk::bytes::ReadAt;
use crate::disk::joined::Joined;
use crate::disk::joined::Striped;
use crate::disk::joined::Zeros;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use text::Section;
use text::Value;

const SECTOR: u64 = 512;

/// A logical volume.
pub struct Volume {
    pub group: String,
    pub name: String,
    /// As LVM shows it.
    pub uuid: String,
    pub disk: Arc<dyn ReadAt>,
}

impl Volume {
    /// `/dev/GROUP/NAME`.
    pub fn path(&self) -> String {
        format!("/dev/{}/{}", self.group, self.name)
    }
}

/// What was found on some disks.
#[derive(Default)]
pub struct Volumes {
    /// By group and name.
    pub volumes: Vec<Volume>,
    /// Groups and volumes that could not be read, and why, one sentence each.
    pub problems: Vec<String>,
}

/// A physical volume by its id.
type Devices<'a> = BTreeMap<String, &'a Arc<dyn ReadAt>>;

/// The logical volumes on `disks`, each with its name: whole disks and partitions. Those that are no
/// physical volumes are passed over.
pub fn volumes(disks: &[(String, Arc<dyn ReadAt>)]) -> Result<Volumes> {
    let mut found = Volumes::default();
    let mut devices = Devices::new();
    // By the group's id, its newest text.
    let mut groups: BTreeMap<String, (u64, String, Section)> = BTreeMap::new();
    for (name, disk) in disks {
        let Some(label) = label::read(&**disk)? else { continue };
        if devices.contains_key(&label.id) {
            found
                .problems
                .push(format!("{name} is a copy of another physical volume, {}", dashed(&label.id)));
            continue;
        }
        match label.text(&**disk).and_then(|text| text.map(|text| newest(&text)).transpose()) {
            Ok(Some((id, group))) => match groups.get(&id) {
                Some(known) if known.0 >= group.0 => {}
                _ => _ = groups.insert(id, group),
            },
            Ok(None) => {}
            Err(err) => found.problems.push(format!("{name}: {err}")),
        }
        devices.insert(label.id, disk);
    }
    let mut names = HashSet::new();
    for (id, (_, name, section)) in &groups {
        if !names.insert(name) {
            // Their volumes would have the same names.
            found
                .problems
                .push(format!("volume group {name} is there twice: that of id {id} is kept as bytes"));
            continue;
        }
        if let Err(err) = group(name, section, &devices, &mut found) {
            found.problems.push(format!("volume group {name}: {err}"));
        }
    }
    found.volumes.sort_by(|one, other| (&one.group, &one.name).cmp(&(&other.group, &other.name)));
    Ok(found)
}

/// The id of the group in a text; its number of changes, its name and all else.
fn newest(text: &[u8]) -> Result<(String, (u64, String, Section))> {
    let whole = Section::parse(text)?;
    let Some((name, group)) = whole.sections().find(|(_, section)| section.number("seqno").is_ok()) else {
        return Err(Error::invalid("LVM metadata", "has no volume group"));
    };
    Ok((group.text("id")?.to_string(), (group.number("seqno")?, name.to_string(), group.clone())))
}

/// A physical volume as its group knows it.
struct Physical<'a> {
    /// `None` where it is not among the disks.
    disk: Option<&'a Arc<dyn ReadAt>>,
    /// Where its extents start, in bytes.
    start: u64,
    id: String,
}

struct Group<'a> {
    extent: u64,
    physical: BTreeMap<&'a str, Physical<'a>>,
}

fn group(name: &str, section: &Section, devices: &Devices, found: &mut Volumes) -> Result<()> {
    check_name(name)?;
    let extent = section.number("extent_size")?.checked_mul(SECTOR).filter(|extent| *extent > 0);
    let extent = extent.ok_or_else(|| Error::invalid("LVM metadata", "has an impossible extent_size"))?;
    let mut physical = BTreeMap::new();
    for (alias, volume) in section.section("physical_volumes").iter().flat_map(|section| section.sections()) {
        let id = volume.text("id")?;
        let start = volume.number("pe_start")?.saturating_mul(SECTOR);
        let disk = devices.get(&id.replace('-', "")).copied();
        physical.insert(alias, Physical { disk, start, id: id.to_string() });
    }
    let group = Group { extent, physical };
    // No extent belongs to two volumes, so together they are no larger than what they lie on.
    let mut left: u64 = group.physical.values().filter_map(|physical| Some(physical.disk?.size())).sum();
    for (lv_name, volume) in section.section("logical_volumes").iter().flat_map(|section| section.sections())
    {
        // The others are parts of something: legs of a mirror, the pool of thin volumes.
        if !volume.list("status").contains(&Value::Text("VISIBLE".to_string())) {
            continue;
        }
        let opened = check_name(lv_name).and_then(|()| group.open(volume)).and_then(|disk| {
            left = left.checked_sub(disk.size()).ok_or_else(|| {
                Error::invalid("LVM metadata", "has volumes that are larger than the disks they lie on")
            })?;
            Ok(disk)
        });
        match opened {
            Ok(disk) => found.volumes.push(Volume {
                group: name.to_string(),
                name: lv_name.to_string(),
                uuid: shown(volume.text("id")?.as_bytes()),
                disk,
            }),
            Err(err) => {
                found.problems.push(format!("logical volume {name}/{}: {err}", shown(lv_name.as_bytes())))
            }
        }
    }
    Ok(())
}

/// The letters that LVM takes; names become paths in what is shown.
fn check_name(name: &str) -> Result<()> {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"+_.-".contains(&byte);
    if matches!(name, "." | "..") || !name.bytes().all(is_sound) {
        return Err(Error::invalid(shown(name.as_bytes()), "is no name for a volume"));
    }
    Ok(())
}

impl Group<'_> {
    fn open(&self, volume: &Section) -> Result<Arc<dyn ReadAt>> {
        let wrong = |problem: String| Error::invalid("LVM metadata", problem);
        let mut parts: Vec<Arc<dyn ReadAt>> = Vec::new();
        let mut at = 0_u64;
        for number in 1..=volume.number("segment_count")? {
            let Some(segment) = volume.section(&format!("segment{number}")) else {
                return Err(wrong(format!("lacks segment {number}")));
            };
            let (start, count) = (segment.number("start_extent")?, segment.number("extent_count")?);
            if start != at {
                return Err(wrong(format!("has a segment at extent {start}, where {at} comes next")));
            }
            at = at
                .checked_add(count)
                .ok_or_else(|| wrong("has a segment of impossible length".to_string()))?;
            parts.push(self.segment(segment, count)?);
        }
        Ok(Arc::new(Joined::new(parts)?))
    }

    fn segment(&self, segment: &Section, count: u64) -> Result<Arc<dyn ReadAt>> {
        let wrong = |problem: String| Error::invalid("LVM metadata", problem);
        let kind = segment.text("type")?;
        let size = count.checked_mul(self.extent);
        let size = size.ok_or_else(|| wrong("has a segment of impossible length".to_string()))?;
        match kind {
            "striped" => {}
            "zero" => return Ok(Arc::new(Zeros(size))),
            other => {
                let other = shown(other.as_bytes());
                return Err(wrong(format!("has a segment of type {other}, which imgit does not read")));
            }
        }
        let places = segment.list("stripes");
        let stripes = segment.number("stripe_count")?;
        if stripes == 0 || places.len() as u64 != stripes.saturating_mul(2) || !size.is_multiple_of(stripes) {
            return Err(wrong(format!("has a segment of {count} extents in {stripes} stripes")));
        }
        let mut disks = Vec::new();
        for place in places.chunks_exact(2) {
            let [Value::Text(alias), Value::Number(first)] = place else {
                return Err(wrong("has a stripe nobody understands".to_string()));
            };
            disks.push(self.part(alias, *first, size / stripes)?);
        }
        match &disks[..] {
            [one] => Ok(Arc::clone(one)),
            _ => {
                let chunk = segment.number("stripe_size")?.saturating_mul(SECTOR);
                Ok(Arc::new(Striped::new(disks, chunk)?))
            }
        }
    }

    /// A run of extents on one physical volume.
    fn part(&self, alias: &str, first: u64, size: u64) -> Result<Arc<dyn ReadAt>> {
        let Some(physical) = self.physical.get(alias) else {
            let problem = format!("has a stripe on {}, which is no physical volume", shown(alias.as_bytes()));
            return Err(Error::invalid("LVM metadata", problem));
        };
        let Some(disk) = physical.disk else {
            return Err(Error::not_found("physical volume", shown(physical.id.as_bytes())));
        };
        let start = first.saturating_mul(self.extent).saturating_add(physical.start);
        Ok(Arc::new(Part::new(Arc::clone(disk), start, size)?))
    }
}

#[cfg(test)]
mod tests;
