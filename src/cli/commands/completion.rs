use super::session::Session;
use crate::cli::args;
use crate::error::Result;

/// Print a completion script for a shell
///
/// Example: imgit completion bash > ~/.local/share/bash-completion/completions/imgit
#[derive(clap::Args)]
pub struct Args {
    /// The shell that the script is for
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "imgit", &mut script);
    let mut out = session.output();
    out.raw(&script)?;
    out.finish()?;
    Ok(0)
}
