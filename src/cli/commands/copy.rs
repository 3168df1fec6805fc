use super::session::Session;
use crate::cli::output::bytes;
use crate::cli::registries::BothRegistryArgs;
use crate::error::Error;
use crate::error::Result;
use crate::oci::copy;
use crate::oci::copy::CopyOptions;
use crate::oci::document;
use crate::oci::location::Location;
use crate::oci::name::DEFAULT_TAG;
use crate::oci::open;
use crate::oci::open::Content;
use crate::oci::open::CreateOptions;
use crate::oci::platform::Platform;
use crate::oci::source::Root;
use serde_json::json;
use std::path::PathBuf;

/// Copy an image from one place to another, past the store
///
/// Both are docker://NAME[:TAG], docker-daemon:NAME[:TAG], oci:PATH[:REF], oci-archive:PATH[:REF],
/// docker-archive:PATH[:NAME:TAG] or dir:PATH. All platforms go along unless one is chosen, every
/// digest as it is, but into a docker-archive, which keeps layers uncompressed.
///
/// Between the store and a place go `pull`, `push`, `import` and `export`.
///
/// Example: imgit copy docker://debian:12 oci:debian:12
#[derive(clap::Args)]
pub struct Args {
    /// Where from, as above
    source: String,
    /// Where to, as above
    dest: String,
    /// Only this platform of a multi-platform image
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Signatures, SBOMs and whatever else refers to the image go along
    #[arg(long)]
    referrers: bool,
    /// Put a new archive or dir: over an old one; a layout is added to
    #[arg(short, long)]
    force: bool,
    /// Write the digest of what was copied to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Blobs under way at once
    #[arg(short, long, value_name = "N", default_value_t = 3)]
    jobs: usize,
    #[command(flatten)]
    registries: BothRegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let source = Location::parse(&args.source).map_err(Error::typed)?;
    let dest = Location::parse(&args.dest).map_err(Error::typed)?;
    let platform = args.platform.as_deref().map(Platform::parse).transpose().map_err(Error::typed)?;
    let from = args.registries.source().outside(&source)?;
    let to = args.registries.dest().outside(&dest)?;
    let scratch = crate::fs::temp_dir()?;
    let opened = open::open(&source, scratch.path(), &*from)?;
    let Content::Images { source: images, mut roots } = opened.content else {
        return Err(Error::Usage(format!("{} holds files, not images", opened.location))
            .with_hint("`imgit import` takes files"));
    };
    if let Some(platform) = &platform {
        for root in &mut roots {
            root.descriptor = document::pick(&*images, &root.descriptor, Some(platform))?;
        }
    }
    let dest = named(dest, &mut roots)?;
    let near = match &source {
        Location::Docker(name) => Some(name),
        _ => None,
    };
    let creating = CreateOptions {
        replace: args.force,
        standard_output: || Box::new(std::io::stdout()),
        outside: &*to,
        near,
    };
    let sink = open::create(&dest, &creating)?;
    let copying = CopyOptions { scratch: scratch.path(), jobs: args.jobs, referrers: args.referrers };
    let copied = copy::copy(&*images, &roots, sink, &copying, session.progress())?;
    let digests: Vec<String> = roots.iter().map(|root| root.descriptor.digest.to_string()).collect();
    if let Some(file) = &args.digestfile {
        crate::fs::write_atomic(file, digests.join("\n").as_bytes())?;
    }
    let mut out = session.output();
    if dest.is_standard() {
        // Standard output holds the archive.
    } else if out.is_json() {
        out.record(&json!({
            "message_type": "copied", "source": opened.location.to_string(), "sink": dest.to_string(),
            "digests": digests, "blobs": copied.blobs, "bytes": copied.bytes, "blobs_there": copied.there,
        }))?;
    } else {
        for digest in &digests {
            out.line(digest)?;
        }
    }
    out.finish()?;
    session.console.say(&format!(
        "Copied {} to {dest}: {} blobs, {}, {} there already.",
        opened.location,
        copied.blobs,
        bytes(copied.bytes),
        copied.there
    ));
    Ok(0)
}

/// What the images are called at the other end: as typed there, else as they are called here.
fn named(dest: Location, roots: &mut [Root]) -> Result<Location> {
    let several = roots.len() > 1;
    if several && (dest.reference().is_some() || matches!(dest, Location::Docker(_))) {
        return Err(Error::Usage(format!("the source holds several images, {dest} can be one"))
            .with_hint("choose one with :REF or :@INDEX behind the path"));
    }
    let dest = match dest {
        Location::Docker(name) if name.tag().is_none() && name.digest().is_none() => {
            let tag = roots.first().and_then(tag_of);
            Location::Docker(name.with_tag(tag.as_deref().unwrap_or(DEFAULT_TAG))?)
        }
        dest => dest,
    };
    for root in roots {
        root.names = match &dest {
            Location::Docker(name) => name.tag().map(str::to_string).into_iter().collect(),
            _ if dest.reference().is_some() => dest.reference().map(str::to_string).into_iter().collect(),
            // A layout names images by a tag alone.
            Location::Oci { .. } | Location::OciArchive { .. } => tag_of(root).into_iter().collect(),
            _ => continue,
        };
    }
    Ok(dest)
}

fn tag_of(root: &Root) -> Option<String> {
    let whole = root.image_names().first().map(|name| name.tag_or_default().to_string());
    whole.or_else(|| root.names.first().cloned())
}
