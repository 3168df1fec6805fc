use crate::cli::args;
use crate::error::Error;
use crate::error::Result;
use crate::fs;
use std::path::PathBuf;

/// Write the manual pages of imgit and of each verb into a folder
///
/// Example: imgit man ~/.local/share/man/man1
#[derive(clap::Args)]
pub struct Args {
    /// The folder; it is made if it is not there
    dir: PathBuf,
}

pub fn run(args: Args) -> Result<u8> {
    fs::create_dir_all(&args.dir)?;
    let command = args::command();
    clap_mangen::generate_to(command, &args.dir).map_err(Error::io("write manual pages into", &args.dir))?;
    Ok(0)
}
