//! The face: what is typed, what is printed, how it ends. The library below never prints.

mod args;
mod commands;
mod error;
mod output;
mod progress;
mod registries;
mod secret;

use std::process::ExitCode;

/// Parses the command line, runs the verb and turns a failure into words and an exit code.
pub fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(err) => {
            // clap knows whether this is `--help` on stdout or a usage error on stderr.
            let _ = err.print();
            return ExitCode::from(if err.use_stderr() { error::USAGE } else { 0 });
        }
    };
    progress::watch_interrupts();
    let json = args.global.json();
    let verb_is_diff = args.verb.is_comparison();
    match commands::run(args) {
        Ok(code) => ExitCode::from(code),
        Err(err) => error::report(&err, json, verb_is_diff),
    }
}
