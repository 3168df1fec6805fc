//! The only way to stdout: data, for a person or for a program.

pub mod diff;
mod human;

pub use human::bytes;
pub use human::mode;
pub use human::quoted;
pub use human::time;
pub use human::time_of_day;

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Stdout;
use std::io::Write;

pub struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    terminal: bool,
}

impl Output {
    pub fn new(json: bool) -> Output {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        Output { out: BufWriter::with_capacity(1 << 16, stdout), json, terminal }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of text. A terminal would obey what a stranger's commit hides in its words, so there
    /// control characters are escaped.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        let text = text.as_ref();
        match self.terminal && text.contains(is_order) {
            true => self.raw(shown(text.as_bytes()).as_bytes())?,
            false => self.raw(text.as_bytes())?,
        }
        self.raw(b"\n")
    }

    /// One JSON value on a line of its own.
    pub fn record(&mut self, value: &serde_json::Value) -> Result<()> {
        self.line(value.to_string())
    }

    /// One JSON value over several lines, for a person who asked for JSON.
    pub fn document(&mut self, value: &serde_json::Value) -> Result<()> {
        self.line(serde_json::to_string_pretty(value).expect("a Value always serialises"))
    }

    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(broken)
    }

    /// A file's name: the bytes it is, for they may be piped into xargs; but a terminal would obey
    /// what an image's author hid in them, so there it is escaped, as GNU ls does.
    pub fn name(&mut self, bytes: &[u8]) -> Result<()> {
        match self.terminal {
            true => self.raw(shown(bytes).as_bytes()),
            false => self.raw(bytes),
        }
    }

    pub fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(broken)
    }

    /// Rows under headings, columns as wide as their widest cell, numbers to the right.
    pub fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) -> Result<()> {
        for line in human::table(headings, rows) {
            self.line(line)?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn is_order(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\t' | '\n')
}

fn broken(source: std::io::Error) -> Error {
    Error::Io { doing: "write to", path: "standard output".into(), source }
}
