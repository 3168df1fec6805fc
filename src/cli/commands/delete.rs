use super::pull::registry_name;
use super::session::Session;
use crate::cli::registries::RegistryArgs;
use crate::error::Error;
use crate::error::Result;
use crate::remote::Reference;
use serde_json::json;

/// Delete an image from a registry
///
/// Of a tag goes the manifest that it names, with every other tag of it, as skopeo does: few
/// registries can take away a tag alone. Names in the store are deleted by `imgit branch --delete`.
///
/// Example: imgit delete docker://localhost:5000/web:v1
#[derive(clap::Args)]
pub struct Args {
    /// The image, with docker:// in front and a tag or digest behind
    image: String,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    if !args.image.starts_with("docker://") {
        // `imgit delete web:v1` would look as if it meant the store.
        return Err(Error::Usage(format!("cannot delete {}: it does not begin with docker://", args.image))
            .with_hint(
                "a branch or tag of the store is deleted by `imgit branch --delete` or `imgit tag --delete`",
            ));
    }
    let name = registry_name(&args.image)?;
    if name.tag().is_none() && name.digest().is_none() {
        return Err(Error::Usage(format!("docker://{name} has neither tag nor digest")));
    }
    let repository = args.registries.remote_of(&name)?.destination(&name)?;
    let absent = || Error::not_found("image", name.full());
    let digest = repository.head(&Reference::of(&name))?.ok_or_else(absent)?.digest;
    repository.delete(&Reference::from(&digest))?;
    let mut out = session.output();
    match out.is_json() {
        true => out.record(
            &json!({ "message_type": "deleted", "image": name.full(), "digest": digest.to_string() }),
        )?,
        false => out.line(digest.to_string())?,
    }
    out.finish()?;
    session.console.say(&format!("Deleted docker://{}.", name.full()));
    Ok(0)
}
