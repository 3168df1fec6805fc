use super::session::Session;
use crate::error::Result;
use crate::repo::Repo;
use std::path::PathBuf;

/// Create an empty store
///
/// Not needed before a first import: that creates the store too.
#[derive(clap::Args)]
pub struct Args {
    /// Where [default: the folder that --store or IMGIT_STORE names]
    dir: Option<PathBuf>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let dir = args.dir.map_or_else(|| session.store_dir(), Ok)?;
    Repo::create(&dir, session.global.lock_timeout())?;
    session.console.say(&format!("Created an empty store in {}.", dir.display()));
    Ok(0)
}
