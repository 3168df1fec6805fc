//! A mirror.toml, run again and again while the registry behind it changes.

use crate::support::DAWN;
use crate::support::DAY;
use crate::support::World;
use crate::support::registry::Registry;
use serde_json::Value;

/// The outcome of each tag, by its name in the store, and the summary.
fn run(world: &World, code: i32, options: &str) -> Vec<(String, String)> {
    let outcome = world.run(&format!("mirror run mirror.toml --json {options}"));
    assert_eq!(outcome.code, code, "{outcome}");
    let lines = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut outcomes: Vec<(String, String)> = lines
        .filter(|line| line["message_type"] == "mirrored")
        .map(|line| {
            let name = line["to"].as_str().unwrap_or("-").to_string();
            (name, line["outcome"].as_str().unwrap().to_string())
        })
        .collect();
    outcomes.sort();
    outcomes
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, outcome)| (name.to_string(), outcome.to_string())).collect()
}

#[test]
fn a_mirror_follows_its_source_and_forgets_nothing() {
    let (world, registry) = (World::new(), Registry::start());
    registry.push("web-v1.oci:v1", "team/web:1.0");
    registry.push("web-v1.oci:v1", "team/web:2.0");
    registry.push("notes-zstd.oci:notes", "team/notes:edge");
    world.write(
        "mirror.toml",
        format!(
            "[[repository]]\nfrom = '{address}/team/web'\nto = 'web'\nsemver = '>=1'\n\
             [[repository]]\nfrom = '{address}/team/n*'\nglob = ['*']\n",
            address = registry.address
        ),
    );
    let notes = format!("{}/team/notes:edge", registry.address);
    let would = pairs(&[(&notes, "would fetch"), ("web:1.0", "would fetch"), ("web:2.0", "would fetch")]);
    assert_eq!(run(&world, 0, "--dry-run"), would);
    assert_eq!(world.ok("catalog"), "");
    let fetched = pairs(&[(&notes, "fetched"), ("web:1.0", "fetched"), ("web:2.0", "fetched")]);
    assert_eq!(run(&world, 0, ""), fetched);

    // A run that finds nothing: the lists that the patterns need, and one request for each tag.
    let before = registry.requests().len();
    let unmoved = pairs(&[(&notes, "unmoved"), ("web:1.0", "unmoved"), ("web:2.0", "unmoved")]);
    assert_eq!(run(&world, 0, ""), unmoved);
    let mut asked = registry.requests()[before..].to_vec();
    asked.retain(|request| request.starts_with("HEAD"));
    assert_eq!((asked.len(), registry.requests().len() - before), (3, 3 + 3), "{asked:?}");

    // One moves, one goes.
    world.at(DAWN + DAY);
    let moved = format!("docker://{}", registry.name("team/web:2.0"));
    world.ok(&format!("copy docker-archive:testdata/web-v2.docker.tar {moved}"));
    world.ok(&format!("delete docker://{}", registry.name("team/notes:edge")));
    let moved = pairs(&[(&notes, "gone"), ("web:1.0", "unmoved"), ("web:2.0", "fetched")]);
    assert_eq!(run(&world, 0, ""), moved);
    assert_eq!(world.ok("log --oneline web:2.0").lines().count(), 2);
    assert!(world.ok(&format!("show {notes}")).contains("imgit.gone"));
    assert!(world.ok("mirror status mirror.toml").contains("2026-01-02T00:00:00Z"));
    // It is marked once.
    assert_eq!(run(&world, 0, ""), pairs(&[("web:1.0", "unmoved"), ("web:2.0", "unmoved")]));

    assert_eq!(run(&world, 0, "--prune")[0], (notes.clone(), "pruned".to_string()));
    assert!(!world.ok("catalog").contains("notes"));
    assert_eq!(world.ok(&format!("log --oneline gone/{}", notes.replacen(':', "_", 1))).lines().count(), 2);

    // And it comes back.
    registry.push("notes-zstd.oci:notes", "team/notes:edge");
    assert_eq!(run(&world, 0, "")[0], (notes, "fetched".to_string()));
    world.assert_sound();
}

#[test]
fn one_that_fails_ends_the_run_or_is_told_at_its_end() {
    let (world, registry) = (World::new(), Registry::start());
    registry.push("web-v1.oci:v1", "web:1");
    world.write(
        "mirror.toml",
        format!("[[repository]]\nfrom = '{}/web'\ntags = ['0', '1']\n", registry.address),
    );
    let web = format!("{}/web", registry.address);
    let both = pairs(&[(&format!("{web}:0"), "failed"), (&format!("{web}:1"), "fetched")]);
    assert_eq!(run(&world, 3, "--keep-going"), both);
    assert!(world.fails(4, "mirror run mirror.toml").contains("--keep-going"));
    assert!(world.fails(2, "mirror run mirror.toml --every soon").contains("is not a number"));
    world.write("mirror.toml", "[[repository]]\nfrom = 'debian'\ntag = ['12']\n");
    assert!(world.fails(6, "mirror run mirror.toml").contains("unknown field `tag`"));
}
