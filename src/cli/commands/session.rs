//! What every verb starts from: the options typed, the store they name, where words go.

use crate::cli::args::Global;
use crate::cli::output::Output;
use crate::cli::progress::Console;
use crate::cli::progress::Volume;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;
use crate::repo::Repo;
use std::path::PathBuf;

pub struct Session {
    pub global: Global,
    pub console: Console,
}

impl Session {
    pub fn new(global: Global) -> Session {
        let volume = match (global.quiet, global.verbose) {
            (true, _) => Volume::Quiet,
            (_, true) => Volume::Verbose,
            _ => Volume::Normal,
        };
        let console = Console::new(volume, !global.no_progress, global.json());
        Session { global, console }
    }

    pub fn store_dir(&self) -> Result<PathBuf> {
        let unset = || {
            Error::Usage(
                "where is the store? none of --store, IMGIT_STORE, XDG_DATA_HOME and HOME is set".into(),
            )
        };
        self.global.store_dir().ok_or_else(unset)
    }

    pub fn repo(&self) -> Result<Repo> {
        Repo::open(&self.store_dir()?, self.global.lock_timeout(), self.progress())
    }

    /// For verbs that may be the first: creates the store, saying so.
    pub fn repo_or_new(&self) -> Result<Repo> {
        let dir = self.store_dir()?;
        match Repo::open(&dir, self.global.lock_timeout(), self.progress()) {
            Err(err) if matches!(err.root(), Error::NoStore { .. }) => {
                match Repo::create(&dir, self.global.lock_timeout()) {
                    // Somebody else's first import came in between: theirs is as good.
                    Err(err) if matches!(err.root(), Error::Exists { .. }) => self.repo(),
                    created => {
                        let repo = created?;
                        self.console.say(&format!("Created an empty store in {}.", dir.display()));
                        Ok(repo)
                    }
                }
            }
            opened => opened,
        }
    }

    pub fn output(&self) -> Output {
        Output::new(self.global.json())
    }

    pub fn progress(&self) -> &dyn Progress {
        &self.console
    }
}
