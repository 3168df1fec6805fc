use super::session::Session;
use crate::cli::args;
use crate::error::Error;
use crate::error::Result;

/// Show help for imgit or for a verb
#[derive(clap::Args)]
pub struct Args {
    /// The verb, and what is below it: `bundle create` [default: a list of all]
    verb: Vec<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let mut command = args::command();
    // Only now do the verbs know the global options.
    command.build();
    let mut shown = &mut command;
    for name in &args.verb {
        let unknown =
            || Error::Usage(format!("there is no verb `{name}`")).with_hint("`imgit help` lists them");
        shown = shown.find_subcommand_mut(name).ok_or_else(unknown)?;
    }
    let shown = shown.render_help();
    let mut out = session.output();
    out.raw(shown.to_string().as_bytes())?;
    out.finish()?;
    Ok(0)
}
