use super::session::Session;
use crate::cli::registries::RegistryArgs;
use crate::error::Error;
use crate::error::Result;

/// Forget credentials for a registry
#[derive(clap::Args)]
pub struct Args {
    /// The registry's host, or a repository on it
    #[arg(value_name = "HOST[/REPOSITORY]", required_unless_present = "all")]
    registry: Option<String>,
    /// Forget all of them
    #[arg(short, long, conflicts_with = "registry")]
    all: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let auth = args.registries.auth()?;
    let Some(registry) = &args.registry else {
        for key in auth.logout_all()? {
            session.console.say(&format!("Logged out of {key}."));
        }
        return Ok(0);
    };
    let places = auth.logout(registry)?;
    if places.is_empty() {
        return Err(Error::not_found("login for", registry.clone()));
    }
    for place in places {
        session.console.say(&format!("Logged out of {registry}; it was kept in {place}."));
    }
    Ok(0)
}
