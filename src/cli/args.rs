//! What can be typed: the verbs, and the options that all of them share.

use super::commands;
use clap::Args as ClapArgs;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

/// Git for container images and VM disks
///
/// Imports images into one store that keeps every file once, shows what changed between versions,
/// and gives each image back bit for bit.
#[derive(Parser)]
#[command(name = "imgit", version, after_help = super::error::HELP, propagate_version = false)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(ClapArgs)]
pub struct Global {
    /// The store's folder [default: $XDG_DATA_HOME/imgit, or ~/.local/share/imgit]
    #[arg(long, global = true, env = "IMGIT_STORE", value_name = "DIR", hide_env_values = true)]
    pub store: Option<PathBuf>,
    /// How data on standard output is written
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    pub format: Format,
    /// Short for --format json
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is being done
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Show no progress bars, even on a terminal
    #[arg(long, global = true, env = "IMGIT_NO_PROGRESS")]
    pub no_progress: bool,
    /// How many seconds to wait for another imgit that is writing
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 60,
        env = "IMGIT_LOCK_TIMEOUT",
        hide_env = true
    )]
    pub lock_timeout: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

impl Global {
    pub fn json(&self) -> bool {
        self.json || self.format == Format::Json
    }

    pub fn lock_timeout(&self) -> Duration {
        Duration::from_secs(self.lock_timeout)
    }

    pub fn store_dir(&self) -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.store
            .clone()
            .or_else(|| set("XDG_DATA_HOME").map(|data| data.join("imgit")))
            .or_else(|| set("HOME").map(|home| home.join(".local/share/imgit")))
    }
}

#[derive(Subcommand)]
pub enum Verb {
    Init(commands::init::Args),
    Import(commands::import::Args),
    Export(commands::export::Args),
    Catalog(commands::catalog::Args),
    Inspect(commands::inspect::Args),
    Log(commands::log::Args),
    Show(commands::show::Args),
    Diff(commands::diff::Args),
    Ls(commands::ls::Args),
    Cat(commands::cat::Args),
    Find(commands::find::Args),
    Whereis(commands::whereis::Args),
    Du(commands::du::Args),
    Branch(commands::branch::Args),
    Tag(commands::tag::Args),
    Restore(commands::restore::Args),
    Reflog(commands::reflog::Args),
    Gc(commands::gc::Args),
    Fsck(commands::fsck::Args),
    Completion(commands::completion::Args),
    #[command(hide = true)]
    Man(commands::man::Args),
    Version(commands::version::Args),
}

impl Verb {
    /// Verbs whose exit code 1 means "they differ" end with 2 on any failure, as diff(1) does.
    pub fn is_comparison(&self) -> bool {
        matches!(self, Verb::Diff(_))
    }
}
