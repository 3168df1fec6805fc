use super::pull::registry_name;
use super::session::Session;
use crate::cli::output::bytes;
use crate::cli::registries::RegistryArgs;
use crate::error::Error;
use crate::error::Result;
use crate::export;
use crate::export::ExportOptions;
use crate::oci::location::Location;
use crate::oci::platform::Platform;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Send an image from the store to a registry
///
/// Every digest is the one that the image came in with, so signatures stay valid. What the registry
/// has is not sent again. Without DEST it goes where its NAME says; a DEST without a tag gets the
/// version's.
///
/// Example: imgit push web:v1 registry.example.com/team/web
#[derive(clap::Args)]
pub struct Args {
    /// The version: NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id
    version: String,
    /// Where to, with or without docker:// in front
    dest: Option<String>,
    /// Only this platform of a multi-platform image: its manifest becomes what the tag names
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Signatures, SBOMs and whatever else refers to the image go along
    #[arg(long)]
    referrers: bool,
    /// Write the digest of what was pushed to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Blobs under way at once
    #[arg(short, long, value_name = "N", default_value_t = 3)]
    jobs: usize,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let version = repo.resolve(&args.version)?;
    let dest = match (&args.dest, &version.name) {
        (Some(dest), _) => registry_name(dest)?,
        (None, Some(name)) => registry_name(&name.to_string())?,
        (None, None) => return Err(Error::Usage(format!("{} has no name: give a DEST", version.shown))),
    };
    let options = ExportOptions {
        platform: args.platform.as_deref().map(Platform::parse).transpose().map_err(Error::typed)?,
        filesystem: None,
        replace: false,
        name: version.name.clone(),
        standard_output: || Box::new(std::io::stdout()),
        outside: Arc::new(args.registries.remote_of(&dest)?),
        jobs: args.jobs,
        referrers: args.referrers,
    };
    let done = export::export(&repo, &version, &Location::Docker(dest), &options, session.progress())?;
    let digest = done.digest.unwrap_or_default();
    if let Some(file) = &args.digestfile {
        crate::fs::write_atomic(file, digest.as_bytes())?;
    }
    let copied = done.copied.unwrap_or_default();
    let mut out = session.output();
    match out.is_json() {
        true => out.record(&json!({
            "message_type": "pushed", "version": version.shown, "sink": done.sink, "digest": digest,
            "blobs": copied.blobs, "bytes": copied.bytes, "blobs_there": copied.there,
        }))?,
        false => out.line(&digest)?,
    }
    out.finish()?;
    session.console.say(&format!(
        "Pushed {} to {}: {} blobs sent, {}, {} there already.",
        version.shown,
        done.sink,
        copied.blobs,
        bytes(copied.bytes),
        copied.there
    ));
    Ok(0)
}
