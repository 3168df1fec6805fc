use super::import;
use super::session::Session;
use crate::cli::registries::RegistryArgs;
use crate::error::Error;
use crate::error::Result;
use crate::import::ImportOptions;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::platform::Platform;
use crate::repo::Signature;
use std::sync::Arc;

/// Fetch an image from a registry into the store
///
/// IMAGE is a name as Docker reads it: debian:12, ghcr.io/acme/app, NAME@sha256:…. A tag is a branch
/// here: each pull that finds it moved adds a commit, so that `imgit log debian:12` is its history
/// and `imgit diff debian:12~1 debian:12` what changed. One that has not moved costs one request.
///
/// Layers that the store has are not fetched again. All platforms come along, unless one is chosen.
///
/// Example: imgit pull debian:12
#[derive(clap::Args)]
pub struct Args {
    /// What to fetch, with or without docker:// in front
    image: String,
    /// What to call it in the store [default: the same]
    #[arg(value_name = "NAME[:REF]")]
    name: Option<String>,
    /// Every tag of the repository
    #[arg(short, long, conflicts_with = "name")]
    all_tags: bool,
    /// Take only this platform of a multi-platform image
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Signatures, SBOMs and whatever else refers to the image come along
    #[arg(long)]
    referrers: bool,
    /// Why, for the log
    #[arg(short, long)]
    message: Option<String>,
    /// Who, for the log [default: user and host name]
    #[arg(long, env = "IMGIT_AUTHOR", hide_env_values = true)]
    author: Option<String>,
    /// Note something about this version; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let image = registry_name(&args.image)?;
    let remote = Arc::new(args.registries.remote_of(&image)?);
    let images = match args.all_tags {
        false => vec![image],
        true => {
            let tags = remote.repository(&image)?.tags()?;
            tags.iter().map(|tag| image.with_tag(tag)).collect::<Result<_>>()?
        }
    };
    let options = ImportOptions {
        name: args.name.as_deref().map(ImageName::parse).transpose().map_err(Error::typed)?,
        platform: args.platform.as_deref().map(Platform::parse).transpose().map_err(Error::typed)?,
        message: args.message,
        labels: import::labels(&args.labels)?,
        signature: Signature::now(args.author)?,
        scan: Default::default(),
        disk: Default::default(),
        outside: remote.clone(),
        referrers: args.referrers,
    };
    let repo = session.repo_or_new()?;
    for image in images {
        let location = Location::Docker(image);
        session.console.say(&format!("Pulling {location}"));
        let report = crate::import::import(&repo, &location, &options, session.progress())?;
        import::print(session, &report)?;
    }
    Ok(0)
}

/// A name typed for a registry: with `docker://` in front or without.
pub fn registry_name(typed: &str) -> Result<ImageName> {
    match Location::parse(typed) {
        Ok(Location::Docker(name)) => Ok(name),
        Ok(Location::Bare(_)) => match Location::parse(&format!("docker://{typed}")).map_err(Error::typed)? {
            Location::Docker(name) => Ok(name),
            _ => unreachable!("docker:// is read as a registry's name"),
        },
        Ok(other) => Err(Error::Usage(format!("{other} is not in a registry"))
            .with_hint("`imgit import` and `imgit copy` take every transport")),
        Err(err) => Err(err.typed()),
    }
}
