use super::session::Session;
use crate::cli::args;
use crate::error::Error;
use crate::error::Result;

/// Show help for imgit or for a verb
#[derive(clap::Args)]
pub struct Args {
    /// The verb [default: a list of all]
    verb: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let mut command = args::command();
    // Only now do the verbs know the global options.
    command.build();
    let shown = match &args.verb {
        None => command.render_help(),
        Some(name) => match command.find_subcommand_mut(name) {
            Some(verb) => verb.render_help(),
            None => {
                return Err(
                    Error::Usage(format!("there is no verb `{name}`")).with_hint("`imgit help` lists them")
                );
            }
        },
    };
    let mut out = session.output();
    out.raw(shown.to_string().as_bytes())?;
    out.finish()?;
    Ok(0)
}
