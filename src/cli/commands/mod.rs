//! One file for each verb: its arguments with their help, then a short body that calls a deed and
//! prints what it returns.

#![allow(rustdoc::broken_intra_doc_links, reason = "docs here are help texts: NAME[:REF] is no link")]

pub mod branch;
pub mod cat;
pub mod catalog;
pub mod completion;
pub mod diff;
pub mod du;
pub mod export;
pub mod find;
pub mod fsck;
pub mod gc;
pub mod help;
pub mod import;
pub mod init;
pub mod inspect;
pub mod log;
pub mod ls;
pub mod man;
pub mod reflog;
pub mod repack;
pub mod restore;
pub mod show;
pub mod tag;
pub mod version;
pub mod whereis;

mod session;

use super::args::Args;
use super::args::Verb;
use crate::error::Error;
use crate::error::Result;
use globset::GlobBuilder;
use globset::GlobMatcher;
use session::Session;

/// Runs the verb; the number is the process's exit code.
pub fn run(args: Args) -> Result<u8> {
    let session = Session::new(args.global);
    let session = &session;
    match args.verb {
        Verb::Init(args) => init::run(args, session),
        Verb::Import(args) => import::run(args, session),
        Verb::Export(args) => export::run(args, session),
        Verb::Catalog(args) => catalog::run(args, session),
        Verb::Inspect(args) => inspect::run(args, session),
        Verb::Log(args) => log::run(args, session),
        Verb::Show(args) => show::run(args, session),
        Verb::Diff(args) => diff::run(args, session),
        Verb::Ls(args) => ls::run(args, session),
        Verb::Cat(args) => cat::run(args, session),
        Verb::Find(args) => find::run(args, session),
        Verb::Whereis(args) => whereis::run(args, session),
        Verb::Du(args) => du::run(args, session),
        Verb::Branch(args) => branch::run(args, session),
        Verb::Tag(args) => tag::run(args, session),
        Verb::Restore(args) => restore::run(args, session),
        Verb::Reflog(args) => reflog::run(args, session),
        Verb::Gc(args) => gc::run(args, session),
        Verb::Repack(args) => repack::run(args, session),
        Verb::Fsck(args) => fsck::run(args, session),
        Verb::Help(args) => help::run(args, session),
        Verb::Completion(args) => completion::run(args, session),
        Verb::Man(args) => man::run(args),
        Verb::Version(args) => version::run(args, session),
    }
}

/// A pattern over names in the store; none matches them all. `*` crosses `/`, as in `ghcr.io/*`.
fn name_glob(pattern: Option<&str>) -> Result<GlobMatcher> {
    let pattern = pattern.unwrap_or("*");
    let glob = GlobBuilder::new(pattern).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|err| Error::Usage(format!("pattern `{pattern}`: {err}")))
}
