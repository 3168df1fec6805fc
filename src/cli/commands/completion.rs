use crate::cli::args;
use crate::error::Result;
use clap::CommandFactory;

/// Print a completion script for a shell
///
/// For bash: imgit completion bash > ~/.local/share/bash-completion/completions/imgit
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(args: Args) -> Result<u8> {
    let mut command = args::Args::command();
    clap_complete::generate(args.shell, &mut command, "imgit", &mut std::io::stdout());
    Ok(0)
}
