//! What can go wrong, as values that name the thing, what was expected and what was found.
//!
//! One enum for the whole library: a fault keeps its identity on the way up, and only the face
//! turns it into words and an exit code. A cause is `source`, never part of the text, so the
//! person sees a heading, then each cause on a line of its own.

use std::io;
use std::path::Path;
use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was being done when the cause struck; adds a line to the story, changes no exit code.
    #[error("{doing}")]
    Context {
        doing: String,
        source: Box<Error>,
        /// One thing the person can try, shown after the causes.
        hint: Option<String>,
    },
    /// The operating system refused. `doing` reads on after "cannot": "read", "create", "rename".
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// A stream that has no path of its own broke.
    #[error("cannot read {thing}")]
    Stream { thing: String, source: io::Error },
    /// Input that does not follow its format.
    #[error("{thing}: {problem}")]
    Invalid { thing: String, problem: String },
    /// Input whose bytes are not those its name promises.
    #[error("{thing}: expected {expected}, found {found}")]
    Mismatch { thing: String, expected: String, found: String },
    /// Input beyond what imgit is ready to take from a stranger.
    #[error("{thing} is over the limit of {limit} {unit}")]
    Limit { thing: String, limit: u64, unit: &'static str },
    /// A name, path or id that is not there. `kind` is a noun: "image", "branch", "path".
    #[error("{kind} {name} not found")]
    NotFound { kind: &'static str, name: String },
    /// A name that is there already and may not be moved or replaced.
    #[error("{kind} {name} already exists")]
    Exists { kind: &'static str, name: String },
    /// What was asked cannot be done the way it was asked.
    #[error("{0}")]
    Usage(String),
    #[error("no store at {}", path.display())]
    NoStore { path: PathBuf },
    /// The store is damaged: its own bytes are not what it wrote.
    #[error("{thing}: expected {expected}, the store has {found}")]
    Corrupt { thing: String, expected: String, found: String },
    #[error("store {} has format {found}; this imgit reads up to {known}", path.display())]
    NewerFormat { path: PathBuf, found: String, known: String },
    #[error("{what} is locked by {holder}; gave up after {waited_ms} ms")]
    Locked { what: String, holder: String, waited_ms: u64 },
    /// Somebody else moved the ref between our reading it and our writing it.
    #[error("{name} moved while this ran: expected {expected}, found {found}")]
    Moved { name: String, expected: String, found: String },
    /// A server did not let us: nobody is logged in, or they may not. `words` are the server's own.
    #[error("access to {thing} denied{}", after_colon(words))]
    Denied { thing: String, words: String },
    /// A server answered with a failure of its own. `words` are its own, made safe to show.
    #[error("{thing}: the server answered {status}{}", after_colon(words))]
    Server { thing: String, status: u16, words: String },
    /// The other side could not be reached, broke off or fell silent.
    #[error("cannot {doing}")]
    Network { doing: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("interrupted")]
    Interrupted,
    /// redb reported a fault of its own; the index can be rebuilt from the packs.
    #[error("cannot {doing} the index")]
    Index { doing: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Error {
    pub fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { doing, path, source }
    }

    pub fn invalid(thing: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Invalid { thing: thing.into(), problem: problem.into() }
    }

    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Error {
        Error::NotFound { kind, name: name.into() }
    }

    /// What a person typed and nobody can read is wrong usage; the same in a file is bad input.
    pub fn typed(self) -> Error {
        match self {
            Error::Invalid { .. } => Error::Usage(self.to_string()),
            Error::Context { doing, source, hint } => {
                Error::Context { doing, source: Box::new(source.typed()), hint }
            }
            other => other,
        }
    }

    /// The fault under all contexts, which decides the exit code.
    pub fn root(&self) -> &Error {
        match self {
            Error::Context { source, .. } => source.root(),
            other => other,
        }
    }

    /// The hint nearest to the person, if any context gave one.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Error::Context { hint: Some(hint), .. } => Some(hint),
            Error::Context { source, .. } => source.hint(),
            _ => None,
        }
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Error {
        match self {
            Error::Context { doing, source, .. } => Error::Context { doing, source, hint: Some(hint.into()) },
            // The face leaves out a cause in the words of its heading.
            other => {
                Error::Context { doing: other.to_string(), source: Box::new(other), hint: Some(hint.into()) }
            }
        }
    }
}

fn after_colon(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// An [`Error`] crossing a `std::io::Read` or `Write` keeps its identity inside the `io::Error`.
impl From<Error> for io::Error {
    fn from(err: Error) -> io::Error {
        io::Error::other(err)
    }
}

/// Turns an `io::Error` back into the [`Error`] it carries, or names the stream it broke.
pub fn from_stream(thing: impl Into<String>, err: io::Error) -> Error {
    if err.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        let inner = err.into_inner().expect("get_ref was Some");
        return *inner.downcast::<Error>().expect("is::<Error>() held");
    }
    Error::Stream { thing: thing.into(), source: err }
}

/// Adds what was being done to a failure.
pub trait Doing<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Context { doing: doing(), source: Box::new(source), hint: None })
    }
}
