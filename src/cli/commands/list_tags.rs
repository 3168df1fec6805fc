use super::pull::registry_name;
use super::session::Session;
use crate::cli::registries::RegistryArgs;
use crate::error::Result;
use serde_json::json;

/// List the tags of a repository in a registry
///
/// Example: imgit list-tags debian
#[derive(clap::Args)]
pub struct Args {
    /// The repository, with or without docker:// in front
    repository: String,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let name = registry_name(&args.repository)?;
    let tags = args.registries.remote_of(&name)?.repository(&name)?.tags()?;
    let mut out = session.output();
    if out.is_json() {
        let (host, path) = name.host_and_path();
        // As skopeo shapes it.
        out.document(&json!({ "Repository": format!("{host}/{path}"), "Tags": tags }))?;
    } else {
        for tag in tags {
            out.line(tag)?;
        }
    }
    out.finish()?;
    Ok(0)
}
