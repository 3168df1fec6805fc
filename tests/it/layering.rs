//! The architecture as two tables: who may import whom, and which module alone is the door to what.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Plain values and traits that everything may use; they use each other downwards only.
const WORDS: &[&str] = &["error", "id", "path", "attr", "progress", "hash", "content", "codec"];

/// Module, and what it may import besides [`WORDS`] and itself. Imports point up this table.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("id", &[]),
    ("path", &[]),
    ("attr", &[]),
    ("progress", &[]),
    ("hash", &[]),
    ("content", &[]),
    ("codec", &[]),
    // Formats: bytes to values and back; no store, no sockets.
    ("tree", &[]),
    ("layer", &["tree"]),
    ("fs", &["tree"]),
    ("oci", &["fs", "layer"]),
    ("disk", &["fs", "layer", "tree"]),
    // Registries: the protocol without sockets, and the client around it.
    ("wire", &["oci"]),
    ("remote", &["fs", "oci", "wire"]),
    // What is kept, and what it means.
    ("store", &["tree"]),
    ("history", &["oci", "store"]),
    ("repo", &["disk", "fs", "history", "layer", "oci", "store", "tree"]),
    // Deeds: synchronous, silent, progress last. None knows another.
    ("import", &["disk", "fs", "history", "layer", "oci", "repo", "store", "tree"]),
    ("export", &["disk", "fs", "history", "oci", "repo", "tree"]),
    ("inspect", &["disk", "fs", "history", "layer", "oci", "repo", "store", "tree"]),
    ("bundle", &["disk", "fs", "history", "layer", "oci", "repo", "store", "tree"]),
    ("upkeep", &["history", "layer", "oci", "repo", "store"]),
    // A deed of deeds: many imports, as one file says.
    ("mirror", &["history", "import", "oci", "repo"]),
    // The face.
    (
        "cli",
        &[
            "bundle", "disk", "export", "fs", "history", "import", "inspect", "mirror", "oci", "remote",
            "repo", "store", "tree", "upkeep",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// A word that only the modules beside it may use, outside of tests.
const DOORS: &[(&str, &[&str])] = &[
    ("redb::", &["store"]),
    ("std::fs", &["fs", "store/backend"]),
    ("println!", &["cli"]),
    ("eprintln!", &["cli"]),
    ("print!", &["cli"]),
    ("stdout()", &["cli"]),
    ("stderr()", &["cli"]),
    ("stdin()", &["cli/secret", "oci/open"]),
    ("process::exit", &["cli"]),
    ("indicatif::", &["cli"]),
    ("clap::", &["cli"]),
    ("ctrlc::", &["cli"]),
    ("tar::", &["export", "oci"]),
    ("flate2::", &["disk/format/unpack"]),
    ("libloading::", &["disk/guestfs/ffi"]),
    ("reqwest::", &["remote"]),
    ("rustls::", &["remote"]),
    ("tokio::", &["remote"]),
    ("async fn", &["remote"]),
    ("unsafe", &["disk/guestfs/ffi", "hash/pair"]),
    ("zstd::", &["disk/format/unpack", "layer/compression", "store/pack"]),
    ("use crate::*", &[]),
];

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for (module, file) in sources() {
        let code = code_of(&file);
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("src/{module} is not in the table: say who may import what"));
        for other in imported(&code) {
            if other != module && !WORDS.contains(&other.as_str()) && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: {module} may not import {other}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn doors_are_used_by_their_owners_only() {
    let mut wrong = Vec::new();
    for (_, file) in sources() {
        let code = code_of(&file);
        let path = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        for (word, owners) in DOORS {
            let is_owner =
                |owner: &&str| path.starts_with(&format!("{owner}/")) || path == format!("{owner}.rs");
            if !owners.iter().any(is_owner) && has_word(&code, word) {
                wrong.push(format!("{path}: `{word}` belongs to {owners:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut silent = Vec::new();
    for (_, file) in sources() {
        let text = fs::read_to_string(&file).unwrap();
        // A command's help text on its `Args` is what it is for.
        if !text.starts_with("//!") && !text.contains("#[derive(clap::Args)]") {
            silent.push(file.display().to_string());
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The table's order is the architecture: nothing imports what stands below it.
#[test]
fn the_table_has_no_cycles() {
    let place = |module: &str| MAY_IMPORT.iter().position(|(name, _)| *name == module);
    for (module, allowed) in MAY_IMPORT {
        for other in *allowed {
            assert!(place(other).is_some(), "{module} may import {other}, which is not in the table");
            assert!(place(other) < place(module), "{module} may import {other}, which stands below it");
        }
    }
}

/// A line of the table that no import needs any more is taken out of it.
#[test]
fn the_table_allows_no_more_than_is_used() {
    let mut used = BTreeSet::new();
    for (module, file) in sources() {
        used.extend(imported(&code_of(&file)).into_iter().map(|other| (module.clone(), other)));
    }
    for (module, allowed) in MAY_IMPORT.iter().filter(|(module, _)| *module != "main") {
        for other in *allowed {
            let pair = (module.to_string(), other.to_string());
            assert!(used.contains(&pair), "{module} does not import {other}: take it out of the table");
        }
    }
}

/// Every source file with the top-level module it belongs to, but for those that are tests.
fn sources() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            if matches!(&stem[..], "tests" | "testing" | "measure") || stem.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let below = path.strip_prefix(root()).unwrap();
                let first = below.iter().next().unwrap().to_string_lossy().into_owned();
                found.push((first.trim_end_matches(".rs").to_string(), path));
            }
        }
    }
    assert!(found.len() > 20, "the sources have moved: {} files found", found.len());
    found
}

/// The file without comments and without its tests.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn imported(code: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let module: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        if !module.is_empty() {
            modules.insert(module);
        }
    }
    modules
}

/// `tar::` must not be found inside `crate::layer::tar::` or `mytar::`.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
    })
}
