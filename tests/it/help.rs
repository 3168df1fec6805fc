//! The front door: every verb has help, and what README.md says of the program is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn imgit(args: &[&str]) -> (i32, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_imgit")).args(args).env("COLUMNS", "100").output().unwrap();
    (run.status.code().unwrap(), String::from_utf8(run.stdout).unwrap())
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The verbs that `imgit help` lists, each with its line.
fn verbs() -> Vec<(String, String)> {
    let (code, list) = imgit(&["help"]);
    assert_eq!(code, 0);
    let line = |line: &str| {
        let (verb, about) = line.strip_prefix("  ")?.split_once("  ")?;
        let is_verb = !verb.starts_with([' ', '-']) && verb.chars().all(char::is_alphabetic);
        is_verb.then(|| (verb.to_string(), about.trim().to_string()))
    };
    list.lines().take_while(|line| !line.starts_with("Global")).filter_map(line).collect()
}

#[test]
fn every_verb_has_help_that_fits_on_one_line_of_the_list() {
    let verbs = verbs();
    assert!(verbs.len() > 20, "{verbs:?}");
    for (verb, about) in &verbs {
        assert!(about.starts_with(char::is_uppercase) && !about.ends_with('.'), "{verb}: {about}");
        assert!(about.len() < 70, "{verb}: {about}");
        let (code, text) = imgit(&[verb, "--help"]);
        assert_eq!(code, 0, "{verb}");
        assert!(text.starts_with(about), "{verb}: {text}");
        assert!(text.contains(&format!("Usage: imgit {verb}")), "{verb}: {text}");
        for asked in [&["help", verb][..], &[verb, "-h"]] {
            assert_eq!(imgit(asked), (0, text.clone()), "{asked:?}");
        }
    }
}

#[test]
fn an_argument_without_help_is_told_by_its_empty_line() {
    for (verb, _) in verbs() {
        let (_, text) = imgit(&[&verb, "--help"]);
        for line in text.lines().filter(|line| line.starts_with("  <") || line.starts_with("  [")) {
            assert!(line.split_once("  ").is_some_and(|(_, rest)| rest.contains(' ')), "{verb}: {line}");
        }
    }
}

#[test]
fn readme_lists_the_verbs_and_the_exit_codes() {
    let readme = read("README.md");
    let first_cells =
        |line: &str| line.strip_prefix('|').and_then(|rest| rest.split('|').next().map(String::from));
    let cells: Vec<String> = readme.lines().filter_map(first_cells).collect();
    let named: BTreeSet<&str> = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    for (verb, _) in verbs() {
        assert!(named.contains(&verb[..]), "README.md does not list `{verb}`");
    }

    let (_, help) = imgit(&["--help"]);
    let codes = |text: &str| -> Vec<(u8, String)> {
        text.lines()
            .filter_map(|line| {
                let (code, meaning) = line.trim().split_once(' ')?;
                Some((code.parse().ok()?, meaning.trim().to_string()))
            })
            .collect()
    };
    let plain = |text: &str| text.replace("| ", "").replace(" |", "").replace('`', "");
    let section = readme.split_once("## Exit codes").unwrap().1.split("\n## ").next().unwrap();
    assert_eq!(
        codes(&plain(section)),
        codes(&plain(help.split_once("Exit codes:").unwrap().1)),
        "README.md and src/cli/error.rs differ"
    );
}

#[test]
fn completions_and_manual_pages_name_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("man1");
    assert_eq!(imgit(&["man", man.to_str().unwrap()]).0, 0);
    for (verb, _) in verbs() {
        for shell in ["bash", "zsh", "fish"] {
            assert!(imgit(&["completion", shell]).1.contains(&verb), "{shell} does not complete {verb}");
        }
        let page = fs::read_to_string(man.join(format!("imgit-{verb}.1"))).unwrap();
        assert!(page.contains(".SH DESCRIPTION"), "{verb}");
    }
    assert!(man.join("imgit.1").exists());
}

#[test]
fn a_wrong_command_line_is_2_and_says_where_help_is() {
    for args in [&["nope"][..], &["diff"], &["log", "--nope"], &["import", "a", "b", "c"], &[]] {
        let run = Command::new(env!("CARGO_BIN_EXE_imgit")).args(args).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{args:?}");
        assert!(run.stdout.is_empty(), "{args:?}");
        assert!(String::from_utf8_lossy(&run.stderr).contains("--help"), "{args:?}");
    }
}
