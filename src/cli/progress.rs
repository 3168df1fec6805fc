//! Progress on a terminal, silence elsewhere, and Ctrl-C.

use crate::error::Error;
use crate::progress::Progress;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The first Ctrl-C asks the deed to stop at its next step, the second ends the process: the
/// store is as safe in a crash as in an orderly stop.
pub fn watch_interrupts() {
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(super::error::INTERRUPTED));
        }
    });
}

/// How much is said on stderr.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Volume {
    Quiet,
    Normal,
    Verbose,
}

pub struct Console {
    bar: ProgressBar,
    volume: Volume,
    json: bool,
    phase: Mutex<String>,
    problems: AtomicUsize,
}

impl Console {
    pub fn new(volume: Volume, bars: bool, json: bool) -> Console {
        let shown = bars && volume >= Volume::Normal && !json && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Console {
            bar: ProgressBar::with_draw_target(Some(0), target),
            volume,
            json,
            phase: Mutex::default(),
            problems: AtomicUsize::new(0),
        }
    }

    /// How many bad things were reported on the way.
    pub fn problems(&self) -> usize {
        self.problems.load(Ordering::SeqCst)
    }

    /// A sentence about what was done, unless `--quiet`.
    pub fn say(&self, text: &str) {
        if self.volume >= Volume::Normal {
            self.line("status", text);
        }
    }

    /// Something a person must know even with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.line("warning", &format!("warning: {text}"));
    }

    fn line(&self, kind: &str, text: &str) {
        let line = if self.json {
            serde_json::json!({ "message_type": kind, "message": text }).to_string()
        } else {
            text.to_string()
        };
        // Nobody may be reading: what was done stays done, and its exit code true.
        self.bar.suspend(|| drop(writeln!(std::io::stderr(), "{line}")));
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Console {
    fn begin(&self, what: &str, total: Option<u64>) {
        if self.volume == Volume::Verbose {
            self.line("status", what);
        }
        *self.phase.lock().expect("no panic while held") = what.to_string();
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant");
        self.bar.set_style(style.progress_chars("=> "));
        self.bar.set_message(what.to_string());
        self.bar.set_length(total.unwrap_or(0));
        self.bar.set_position(0);
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn problem(&self, problem: &Error) {
        self.problems.fetch_add(1, Ordering::SeqCst);
        self.warn(&super::error::chain(problem));
    }

    fn cancelled(&self) -> bool {
        INTERRUPTED.load(Ordering::SeqCst)
    }
}
