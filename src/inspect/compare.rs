//! Two sides made comparable: versions, single layers, folders or disks of the host, in any mix.

use super::disk;
use super::disk::Texts;
use crate::content::ContentSource;
use crate::content::HashSink;
use crate::disk::machine::ReadOptions;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::fs::Folder;
use crate::fs::scan;
use crate::fs::scan::ScanOptions;
use crate::history::commit::PlatformTree;
use crate::layer::flatten::Flattener;
use crate::layer::recipe;
use crate::oci::config::ImageConfig;
use crate::path::TreePath;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Version;
use crate::repo::image;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::Tree;
use crate::tree::diff;
use crate::tree::diff::Diff;
use crate::tree::diff::DiffOptions;
use crate::tree::memory::MemoryNodes;
use crate::tree::walk;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

pub struct Side<'a> {
    pub shown: String,
    pub tree: Tree,
    /// Which image it is of, if of any.
    image: Option<(&'a Repo, PlatformTree)>,
    nodes: Box<dyn NodeSource + 'a>,
    files: Files<'a>,
}

/// Where the bytes of a side's files are.
enum Files<'a> {
    Store(&'a Repo),
    Folder(PathBuf),
    Disk(Texts),
}

/// What a file is to somebody who compares lines.
pub enum Lines {
    Text(Vec<u8>),
    Binary,
    TooLarge,
}

/// As git does: a NUL within so many bytes makes a file binary.
const BINARY_PROBE_BYTES: usize = 8000;

/// Larger files are not compared by lines.
pub const LINES_BYTES_MAX: u64 = 4 << 20;

impl<'a> Side<'a> {
    /// A version as a whole, on the platform asked for.
    pub fn version(repo: &'a Repo, version: &Version, platform: Option<&str>) -> Result<Side<'a>> {
        let platform_tree = repo.platform_tree(version, platform)?;
        Ok(Side {
            shown: version.shown.clone(),
            tree: repo.tree_record(&platform_tree.tree)?,
            image: Some((repo, platform_tree)),
            nodes: Box::new(repo.nodes()),
            files: Files::Store(repo),
        })
    }

    /// What layer `number`, counted from 1, holds by itself: whiteouts hide nothing here.
    pub fn layer(
        repo: &'a Repo,
        version: &Version,
        platform: Option<&str>,
        number: usize,
    ) -> Result<Side<'a>> {
        Side::layers(
            repo,
            version,
            platform,
            number..number + 1,
            format!("layer {number} of {}", version.shown),
        )
    }

    /// The tree that the lowest `count` layers make.
    pub fn stack(
        repo: &'a Repo,
        version: &Version,
        platform: Option<&str>,
        count: usize,
    ) -> Result<Side<'a>> {
        Side::layers(
            repo,
            version,
            platform,
            1..count + 1,
            format!("layers 1 to {count} of {}", version.shown),
        )
    }

    fn layers(
        repo: &'a Repo,
        version: &Version,
        platform: Option<&str>,
        numbers: std::ops::Range<usize>,
        shown: String,
    ) -> Result<Side<'a>> {
        let platform_tree = repo.platform_tree(version, platform)?;
        let no_layers = || Error::Usage(format!("{} is no image: it has no layers", version.shown));
        let image = image::image(repo, &platform_tree)?.ok_or_else(no_layers)?;
        let diff_ids = image.config.diff_ids()?;
        if numbers.end > diff_ids.len() + 1 || numbers.start == 0 {
            let name = format!("{} of {} (it has {})", numbers.end - 1, version.shown, diff_ids.len());
            return Err(Error::not_found("layer", name));
        }
        let mut nodes = MemoryNodes::default();
        let mut flattener = Flattener::new();
        for diff_id in &diff_ids[numbers.start - 1..numbers.end - 1] {
            flattener.begin_layer();
            let mut from = repo.open_recipe(diff_id)?;
            recipe::list(&mut from, &mut |entry| flattener.apply(entry))?;
        }
        let tree = flattener.finish(&mut nodes)?;
        Ok(Side {
            shown,
            tree,
            image: Some((repo, platform_tree)),
            nodes: Box::new(nodes),
            files: Files::Store(repo),
        })
    }

    /// A folder of the host, read and hashed but not stored.
    pub fn folder(path: PathBuf, options: &ScanOptions, progress: &dyn Progress) -> Result<Side<'a>> {
        let mut nodes = MemoryNodes::default();
        let tree = scan::scan(&path, &mut HashSink::new(), &mut nodes, options, progress)?;
        Ok(Side {
            shown: path.display().to_string(),
            tree,
            image: None,
            nodes: Box::new(nodes),
            files: Files::Folder(path),
        })
    }

    /// A disk of the host, in `format` where that is said, read and hashed but not stored: its file
    /// system `device`, or all of it as the machine would see it. For [`Side::lines`] its texts are
    /// kept in a temporary file if `with_lines` says so.
    pub fn disk(
        path: &Path,
        format: Option<&str>,
        device: Option<&str>,
        with_lines: bool,
        options: &ReadOptions,
        progress: &dyn Progress,
    ) -> Result<Side<'a>> {
        let shown = path.display().to_string();
        let (contents, nodes, texts) = disk::read(path, format, with_lines, options, progress)?;
        contents.problems.iter().for_each(|problem| progress.note(problem));
        let tree = match device {
            Some(device) => {
                let has: Vec<&str> = contents.trees.iter().map(|(device, _)| &device[..]).collect();
                let absent = || {
                    let err = Error::not_found("file system", format!("{device} in {shown}"));
                    if has.is_empty() { err } else { err.with_hint(format!("it has {}", has.join(", "))) }
                };
                let found = contents.trees.iter().find(|(found, _)| found == device);
                found.map(|(_, tree)| tree.clone()).ok_or_else(absent)?
            }
            None => {
                let none = || Error::Usage(format!("{shown} has no file system that could be read"));
                contents.whole.ok_or_else(none)?
            }
        };
        Ok(Side { shown, tree, image: None, nodes: Box::new(nodes), files: Files::Disk(texts) })
    }

    /// The config of the image; read only when asked for, as it costs more than most comparisons.
    pub fn config(&self) -> Result<Option<ImageConfig>> {
        let Some((repo, platform_tree)) = &self.image else { return Ok(None) };
        Ok(image::image(repo, platform_tree)?.map(|image| image.config))
    }

    fn has(&self, path: &TreePath) -> Result<bool> {
        Ok(walk::lookup(&*self.nodes, &self.tree, path)?.is_some())
    }

    /// The text of a regular file of this side.
    pub fn lines(&self, path: &TreePath, entry: &Entry) -> Result<Lines> {
        let Kind::File { content, size } = &entry.kind else { return Ok(Lines::Binary) };
        if *size > LINES_BYTES_MAX {
            return Ok(Lines::TooLarge);
        }
        let mut bytes = Vec::new();
        let broken = |err| from_stream(path.to_string(), err);
        match &self.files {
            Files::Store(repo) => {
                let contents = repo.contents();
                contents.open(content, 0, *size)?.read_to_end(&mut bytes).map_err(broken)?;
            }
            Files::Folder(root) => {
                let absent = || Error::not_found("file", path.to_string());
                let file =
                    Folder::open(root)?.open_file(OsStr::from_bytes(path.as_bytes()))?.ok_or_else(absent)?;
                file.take(LINES_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(broken)?;
            }
            Files::Disk(texts) => match texts.read(content)? {
                Some(text) => bytes = text,
                // Texts were kept, and nothing else.
                None => return Ok(Lines::Binary),
            },
        }
        Ok(if is_binary(&bytes) { Lines::Binary } else { Lines::Text(bytes) })
    }
}

/// Judges by the first bytes.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(BINARY_PROBE_BYTES)].contains(&0)
}

/// A path that is on neither side is an error: a typo must not read as "no differences".
pub fn compare(old: &Side, new: &Side, options: &DiffOptions) -> Result<Diff> {
    for path in &options.paths {
        if !old.has(path)? && !new.has(path)? {
            let name = format!("{path} in {} or {}", old.shown, new.shown);
            return Err(Error::not_found("path", name));
        }
    }
    diff::diff(&*old.nodes, &old.tree, &*new.nodes, &new.tree, options)
}

/// One field of two image configs that differ.
pub struct ConfigChange {
    pub field: &'static str,
    pub removed: Vec<String>,
    pub added: Vec<String>,
}

/// Compares what decides how a container runs, and how the image came about.
pub fn configs(old: &ImageConfig, new: &ImageConfig) -> Vec<ConfigChange> {
    let fields = |config: &ImageConfig| -> Vec<(&'static str, Vec<String>)> {
        let run = &config.config;
        let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_string()] };
        // A command is one value: its words in another order are another command.
        let command =
            |words: &[String]| one(&if words.is_empty() { String::new() } else { format!("{words:?}") });
        let steps = config.history.iter().map(|step| step.created_by.clone().unwrap_or_default()).collect();
        vec![
            ("env", run.env.clone()),
            ("entrypoint", command(&run.entrypoint)),
            ("cmd", command(&run.cmd)),
            ("user", one(&run.user)),
            ("working dir", one(&run.working_dir)),
            ("ports", run.exposed_ports.clone()),
            ("volumes", run.volumes.clone()),
            ("labels", run.labels.iter().map(|(key, value)| format!("{key}={value}")).collect()),
            ("stop signal", one(&run.stop_signal)),
            ("healthcheck", run.healthcheck.as_ref().map_or_else(Vec::new, |check| command(&check.test))),
            ("platform", one(&config.platform().to_string())),
            ("author", config.author.iter().cloned().collect()),
            ("created", config.created.iter().cloned().collect()),
            ("history", steps),
        ]
    };
    let mut changes = Vec::new();
    for ((field, old), (_, new)) in fields(old).into_iter().zip(fields(new)) {
        if old != new {
            changes.push(ConfigChange { field, removed: without(&old, &new), added: without(&new, &old) });
        }
    }
    changes
}

/// The values of `from` that `other` lacks, each as often as it lacks it: a history may well have
/// one step twice.
fn without(from: &[String], other: &[String]) -> Vec<String> {
    let mut left = other.to_vec();
    let mut lacking = Vec::new();
    for value in from {
        match left.iter().position(|other| other == value) {
            Some(at) => drop(left.swap_remove(at)),
            None => lacking.push(value.clone()),
        }
    }
    lacking
}
