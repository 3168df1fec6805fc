//! What can be typed: the verbs, the options that all of them share, and the form of their help.

use super::commands;
use clap::ArgAction;
use clap::Args as ClapArgs;
use clap::Command;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Git for container images and VM disks
///
/// Imports images into one store that keeps every file once, shows what changed between versions,
/// and gives each image back bit for bit.
#[derive(Parser)]
#[command(
    name = "imgit",
    version,
    after_help = super::error::HELP,
    subcommand_value_name = "VERB",
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(ClapArgs)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The store's folder [default: $XDG_DATA_HOME/imgit, or ~/.local/share/imgit]
    #[arg(long, global = true, env = "IMGIT_STORE", value_name = "DIR", hide_env_values = true)]
    pub store: Option<PathBuf>,
    /// How data is written on standard output
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
    /// Show no progress bars, even on a terminal [env: IMGIT_NO_PROGRESS]
    #[arg(long, global = true, env = "IMGIT_NO_PROGRESS", hide_env = true)]
    pub no_progress: bool,
    /// How long to wait for another imgit that is writing [env: IMGIT_LOCK_TIMEOUT]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 60,
        env = "IMGIT_LOCK_TIMEOUT",
        hide_env = true
    )]
    pub lock_timeout: u64,
    /// Show help for imgit or for a verb
    // clap's own has two lengths, of which the long one puts an empty line after every option.
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// Show imgit's version
    #[arg(short = 'V', long = "version", action = ArgAction::Version)]
    version: Option<bool>,
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
    Repack(commands::repack::Args),
    Fsck(commands::fsck::Args),
    Help(commands::help::Args),
    Completion(commands::completion::Args),
    Man(commands::man::Args),
    Version(commands::version::Args),
}

/// The verbs as `imgit --help` lists them; clap knows no groups.
const GROUPS: &[(&str, &[&str])] = &[
    ("In and out", &["import", "export"]),
    ("Versions", &["catalog", "log", "show", "diff", "inspect"]),
    ("Names", &["branch", "tag", "restore", "reflog"]),
    ("Files", &["ls", "cat", "find", "whereis", "du"]),
    ("Store", &["init", "repack", "gc", "fsck"]),
    ("Help", &["help", "completion", "man", "version"]),
];

impl Verb {
    /// Verbs whose exit code 1 means "they differ" end with 2 on any failure, as diff(1) does.
    pub fn is_comparison(&self) -> bool {
        matches!(self, Verb::Diff(_))
    }
}

/// Takes the command line apart.
pub fn parse() -> Result<Args, clap::Error> {
    Args::from_arg_matches(&command().try_get_matches()?)
}

/// All that can be typed, with its help laid out.
pub fn command() -> Command {
    let mut command = Args::command();
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_string()).collect();
    for name in verbs {
        command = command.mut_subcommand(name, |verb| {
            let about = paragraphs(&verb);
            verb.help_template(format!("{about}\n{{usage-heading}} {{usage}}\n\n{{all-args}}\n"))
        });
    }
    let mut list = String::new();
    for (heading, verbs) in GROUPS {
        let _ = writeln!(list, "{heading}:");
        for name in *verbs {
            let verb = command.find_subcommand(name).expect("a test compares the groups with the verbs");
            let _ = writeln!(list, "  {name:<10}  {}", verb.get_about().cloned().unwrap_or_default());
        }
        list.push('\n');
    }
    let about = paragraphs(&command);
    let template =
        format!("{about}\n{{usage-heading}} {{usage}}\n\n{list}Global options:\n{{options}}{{after-help}}\n");
    command.help_template(template)
}

/// The whole description, as lines of a width that suits every terminal.
fn paragraphs(command: &Command) -> String {
    const COLUMNS: usize = 88;
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut lines = String::new();
    for line in about.lines() {
        let mut column = 0;
        for word in line.split(' ') {
            let width = word.chars().count();
            if column > 0 && column + 1 + width > COLUMNS {
                lines.push('\n');
                column = 0;
            } else if column > 0 {
                lines.push(' ');
                column += 1;
            }
            lines.push_str(word);
            column += width;
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let command = Args::command();
        let mut verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        grouped.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(grouped, verbs);
    }

    #[test]
    fn every_argument_says_what_it_is() {
        for verb in Args::command().get_subcommands() {
            for argument in verb.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", verb.get_name(), argument.get_id());
            }
        }
    }
}
