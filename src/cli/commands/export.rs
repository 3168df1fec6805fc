use super::session::Session;
use crate::cli::error::PARTIAL;
use crate::error::Error;
use crate::error::Result;
use crate::export;
use crate::export::ExportOptions;
use crate::oci::location::Location;
use crate::oci::platform::Platform;
use serde_json::json;

/// Take an image or a disk out of the store
///
/// To oci:PATH[:REF], oci-archive:PATH[:REF], docker-archive:PATH[:NAME:TAG] or dir:PATH (skopeo's)
/// goes the image itself, every digest as it came in. To tar:PATH goes its flattened tree as one tar,
/// to a path alone its tree as files, in a new or empty folder. `-` as PATH of an archive is standard
/// output.
///
/// The disk of a VM goes to raw:PATH, qcow2:, vmdk:, vdi:, vhd: or vhdx:PATH, or in the format it came
/// in to disk:PATH; a path alone that ends in .raw, .img, .qcow2 and so on is taken for that. Its raw
/// bytes are those that came in, checked while they are written. The digest printed is that of the file
/// for raw: and for a file that was kept (import --exact-file), else that of the raw bytes in it.
///
/// Example: imgit export web:v1 oci:web-v1 && skopeo inspect oci:web-v1:v1
#[derive(clap::Args)]
pub struct Args {
    /// The version: NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id
    version: String,
    /// Where to, as above
    sink: String,
    /// Only this platform of a multi-platform image
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Of a VM, the files of this file system alone: /dev/sda1
    #[arg(long, value_name = "DEVICE", conflicts_with = "platform")]
    filesystem: Option<String>,
    /// Put a new archive or dir: over an old one; a layout is added to, a folder of files must be new or empty
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let version = repo.resolve(&args.version)?;
    let options = ExportOptions {
        platform: args.platform.as_deref().map(Platform::parse).transpose().map_err(Error::typed)?,
        filesystem: args.filesystem,
        replace: args.force,
        name: version.name.clone(),
        standard_output: || Box::new(std::io::stdout()),
    };
    let sink = Location::parse(&args.sink).map_err(Error::typed)?;
    let to_stdout = sink.is_standard();
    let done = export::export(&repo, &version, &sink, &options, session.progress())?;
    let mut out = session.output();
    if to_stdout {
        // Standard output holds the archive.
    } else if out.is_json() {
        let skipped: Vec<_> = done
            .skipped
            .iter()
            .map(|skip| {
                let paths: Vec<String> = skip.paths.iter().map(ToString::to_string).collect();
                json!({ "what": skip.what.to_string(), "why": skip.why, "count": skip.count, "paths": paths })
            })
            .collect();
        out.record(&json!({
            "message_type": "exported", "version": version.shown, "sink": done.sink, "digest": done.digest,
            "digest_of": if done.is_of_guest { "guest" } else { "file" }, "skipped": skipped,
        }))?;
    } else if let Some(digest) = &done.digest {
        out.line(digest)?;
    }
    out.finish()?;
    for skip in &done.skipped {
        session.console.warn(&skip.to_string());
    }
    let digest = if done.is_of_guest { "; the digest is that of its raw bytes, not of the file" } else { "" };
    session.console.say(&format!("Exported {} to {}{digest}.", version.shown, done.sink));
    Ok(if done.skipped.is_empty() { 0 } else { PARTIAL })
}
