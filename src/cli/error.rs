//! How a failure is shown, and the exit code it ends with.
//!
//! The codes are documented in `imgit --help`; scripts rely on them, so they never change meaning.

use crate::error::Error;
use std::io::ErrorKind;
use std::io::Write;
use std::process::ExitCode;

pub const GENERAL: u8 = 1;
pub const USAGE: u8 = 2;
/// Some of the things asked for failed; the others are done.
pub const PARTIAL: u8 = 3;
pub const NOT_FOUND: u8 = 4;
/// A registry did not let us.
pub const DENIED: u8 = 5;
pub const DAMAGE: u8 = 6;
pub const NO_STORE: u8 = 10;
pub const LOCKED: u8 = 11;
pub const INTERRUPTED: u8 = 130;

/// Shown at the end of `imgit --help`.
pub const HELP: &str = "\
Exit codes:
    0  done; with --exit-code: no differences
    1  failed; with --exit-code: differences
    2  the command line was wrong; in `diff`: any failure
    3  done in part: some files or images failed
    4  no such image, ref, path or file
    5  a registry denied access
    6  digest mismatch, input that is corrupt or over a limit, damaged store
   10  there is no store
   11  a lock was not had within --lock-timeout
  130  interrupted";

pub fn code(err: &Error, verb_is_diff: bool) -> u8 {
    if verb_is_diff && !matches!(err.root(), Error::Interrupted) {
        // diff(1): 1 means "they differ", so trouble must be something else.
        return USAGE;
    }
    match err.root() {
        Error::Usage(_) => USAGE,
        Error::NotFound { .. } => NOT_FOUND,
        Error::Denied { .. } => DENIED,
        Error::Mismatch { .. } | Error::Corrupt { .. } | Error::Invalid { .. } | Error::Limit { .. } => {
            DAMAGE
        }
        Error::Stream { source, .. }
            // flate2 calls a corrupt stream invalid input, zstd has no kind for it.
            if matches!(
                source.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other
            ) =>
        {
            DAMAGE
        }
        Error::NoStore { .. } => NO_STORE,
        Error::Locked { .. } => LOCKED,
        Error::Interrupted => INTERRUPTED,
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => NOT_FOUND,
        _ => GENERAL,
    }
}

/// Prints heading, causes and hint on stderr; with `--format json` one more line for machines.
pub fn report(err: &Error, json: bool, verb_is_diff: bool) -> ExitCode {
    if is_broken_pipe(err) {
        // The reader went away (`imgit ls | head`): nobody is left to tell.
        return ExitCode::SUCCESS;
    }
    let code = code(err, verb_is_diff);
    let mut text = format!("error: {err}\n");
    let mut said = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        let words = err.to_string();
        if words != said {
            text.push_str(&format!("caused by: {words}\n"));
        }
        said = words;
        cause = err.source();
    }
    if let Some(hint) = err.hint() {
        text.push_str(&format!("hint: {hint}\n"));
    }
    if json {
        let line = serde_json::json!({
            "message_type": "exit_error", "code": code, "message": chain(err),
        });
        text.push_str(&format!("{line}\n"));
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// The whole story on one line.
pub fn chain(err: &Error) -> String {
    let mut text = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        let words = err.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = err.source();
    }
    text
}

fn is_broken_pipe(err: &Error) -> bool {
    match err.root() {
        Error::Io { source, .. } | Error::Stream { source, .. } => source.kind() == ErrorKind::BrokenPipe,
        _ => false,
    }
}
