//! Two sides made comparable: versions, single layers, or folders of the host, in any mix.

use crate::content::ContentSource;
use crate::content::HashSink;
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
}

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

    /// The config of the image; read only when asked for, as it costs more than most comparisons.
    pub fn config(&self) -> Result<Option<ImageConfig>> {
        let Some((repo, platform_tree)) = &self.image else { return Ok(None) };
        Ok(image::image(repo, platform_tree)?.map(|image| image.config))
    }

    fn has(&self, path: &TreePath) -> Result<bool> {
        Ok(walk::lookup(&*self.nodes, &self.tree, path)?.is_some())
    }

    /// The bytes of a regular file of this side, if it has at most `max`.
    pub fn read(&self, path: &TreePath, entry: &Entry, max: u64) -> Result<Option<Vec<u8>>> {
        let Kind::File { content, size } = &entry.kind else { return Ok(None) };
        if *size > max {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        match &self.files {
            Files::Store(repo) => {
                let contents = repo.contents();
                contents.open(content, 0, *size)?.read_to_end(&mut bytes)
            }
            Files::Folder(root) => {
                let absent = || Error::not_found("file", path.to_string());
                let file =
                    Folder::open(root)?.open_file(OsStr::from_bytes(path.as_bytes()))?.ok_or_else(absent)?;
                file.take(max + 1).read_to_end(&mut bytes)
            }
        }
        .map_err(|err| from_stream(path.to_string(), err))?;
        Ok(Some(bytes))
    }
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
