use super::disk_args::ReadArgs;
use super::session::Session;
use crate::cli::error::PARTIAL;
use crate::cli::output::bytes;
use crate::disk::machine::ReadOptions;
use crate::error::Error;
use crate::error::Result;
use crate::fs::scan;
use crate::fs::scan::ScanOptions;
use crate::import::ImportOptions;
use crate::import::ImportReport;
use crate::import::disk::DiskOptions;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::platform::Platform;
use crate::repo::Signature;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bring images and disks into the store
///
/// From oci:PATH[:REF], oci-archive:PATH[:REF], docker-archive:PATH[:NAME:TAG], dir:PATH (skopeo's)
/// or tar:PATH; or from a path alone, which is recognised by what is in it: a plain folder is taken
/// as the root of a file system. `-` as PATH of an archive is standard input.
///
/// A VM's disk comes from disk:PATH, or raw:, qcow2:, vmdk:, vdi:, vhd:, vhdx: or ova:PATH to say
/// what it is, or a path alone. Its files are read without mounting anything here.
///
/// Each import is a commit on the branch NAME:REF. What is there already is not read again, and
/// importing the same image twice does nothing. A source with several images brings in all of them,
/// unless one is chosen; a multi-platform image comes with all its platforms.
///
/// Example: docker save web:v2 | imgit import docker-archive:-
#[derive(clap::Args)]
pub struct Args {
    /// Where from, as above
    source: String,
    /// What to call it in the store [default: the name it carries, else the file's]
    #[arg(value_name = "NAME[:REF]")]
    name: Option<String>,
    /// Why, for the log
    #[arg(short, long)]
    message: Option<String>,
    /// Who, for the log [default: user and host name]
    #[arg(long, env = "IMGIT_AUTHOR", hide_env_values = true)]
    author: Option<String>,
    /// Note something about this version; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Take only this platform of a multi-platform image
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// For a folder: do not cross into other file systems
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// For a folder: leave out what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// For a folder: report files that cannot be read and go on
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    disk: DiskArgs,
}

/// What only disks have.
#[derive(clap::Args)]
#[command(next_help_heading = "Disks")]
struct DiskArgs {
    /// One more disk of the same guest; may be repeated
    #[arg(short = 'a', long = "add", value_name = "DISK")]
    also: Vec<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Keep the image file too, byte for byte, not only the disk in it
    #[arg(long)]
    exact_file: bool,
}

impl DiskArgs {
    fn options(self) -> Result<DiskOptions> {
        let read = ReadOptions { also: self.also, ..self.read.options()? };
        Ok(DiskOptions { read, exact_file: self.exact_file })
    }
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let location = Location::parse(&args.source).map_err(Error::typed)?;
    let options = ImportOptions {
        name: args.name.as_deref().map(ImageName::parse).transpose().map_err(Error::typed)?,
        platform: args.platform.as_deref().map(Platform::parse).transpose().map_err(Error::typed)?,
        message: args.message,
        labels: labels(&args.labels)?,
        signature: Signature::now(args.author)?,
        scan: ScanOptions {
            one_file_system: args.one_file_system,
            exclude: scan::exclude(args.exclude.iter().map(String::as_str)).map_err(Error::typed)?,
            keep_going: args.keep_going,
        },
        disk: args.disk.options()?,
    };
    let repo = session.repo_or_new()?;
    let report = crate::import::import(&repo, &location, &options, session.progress())?;
    if let Location::Bare(_) = location {
        session.console.say(&format!("Taking {} for {}", args.source, report.location));
    }
    print(session, &report)?;
    Ok(if session.console.problems() > 0 { PARTIAL } else { 0 })
}

fn labels(typed: &[String]) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for text in typed {
        let (key, value) =
            text.split_once('=').ok_or_else(|| Error::Usage(format!("label `{text}` is not KEY=VALUE")))?;
        labels.insert(key.to_string(), value.to_string());
    }
    Ok(labels)
}

fn print(session: &Session, report: &ImportReport) -> Result<()> {
    let mut out = session.output();
    for imported in &report.refs {
        if out.is_json() {
            out.record(&json!({
                "message_type": "imported", "name": imported.name.to_string(), "commit": imported.commit.to_string(),
                "digest": imported.artifact.digest, "kind": imported.artifact.kind.word(), "unchanged": imported.unchanged,
            }))?;
        } else if imported.unchanged {
            session.console.say(&format!("{} is up to date at {}", imported.name, imported.commit.short()));
        } else {
            out.line(format!("{} {}", imported.commit.short(), imported.name))?;
        }
    }
    let (read, known) = (report.layers_read, report.layers_known);
    if let Some(done) = &report.committed {
        let layers = match read + known {
            0 => String::new(),
            _ => format!("{read} layers read, {known} known; "),
        };
        session.console.say(&format!(
            "{layers}{} new contents, {}, stored in {}.",
            done.new_contents,
            bytes(done.new_content_bytes),
            bytes(done.stored_bytes),
        ));
    }
    if out.is_json() {
        let done = report.committed.as_ref();
        out.record(&json!({
            "message_type": "summary", "layers_read": read, "layers_known": known,
            "new_contents": done.map_or(0, |done| done.new_contents),
            "new_content_bytes": done.map_or(0, |done| done.new_content_bytes),
            "stored_bytes": done.map_or(0, |done| done.stored_bytes),
        }))?;
    }
    out.finish()
}
