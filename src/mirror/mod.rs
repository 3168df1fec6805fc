//! Many repositories kept up to date in the store, as one file says.
//!
//! A run asks each registry which tags there are, fetches those that moved and marks those that are
//! gone. It needs no state of its own: what was mirrored shows in the source of each branch's newest
//! commit.

mod config;
mod gone;
mod run;
mod select;
mod status;

pub use config::Config;
pub use config::Repository;
pub use config::Tags;
pub use gone::HIDDEN;
pub use run::Outcome;
pub use run::Report;
pub use run::RunOptions;
pub use run::Upstream;
pub use run::run;
pub use status::Mirrored;
pub use status::status;
