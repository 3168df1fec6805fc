//! Passwords: asked for where nobody sees them, or read from standard input.

use crate::error::Error;
use crate::error::Result;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;

/// No password or token is longer; a stream that has no end is none.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Asks on the terminal, or takes the first line of standard input.
pub fn ask(prompt: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).map_err(stdin);
    }
    line()
}

/// Asks for what need not be hidden.
pub fn ask_openly(prompt: &str) -> Result<String> {
    let mut out = std::io::stderr();
    let _ = out.write_all(prompt.as_bytes()).and_then(|()| out.flush());
    line()
}

/// All that standard input has, without the line's end behind it.
pub fn all_of_stdin() -> Result<String> {
    let mut all = String::new();
    std::io::stdin().lock().take(SECRET_BYTES_MAX).read_to_string(&mut all).map_err(stdin)?;
    Ok(all.trim_end_matches(['\r', '\n']).to_string())
}

/// The first line of standard input.
fn line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().take(SECRET_BYTES_MAX).read_line(&mut line).map_err(stdin)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}

fn stdin(source: std::io::Error) -> Error {
    Error::Stream { thing: "the password".into(), source }
}
