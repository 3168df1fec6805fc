//! Where things go: what a sink is taken for, and what a terminal is given.

use crate::support::World;

#[test]
fn a_mistyped_transport_makes_no_folder() {
    let world = World::with_web();
    for sink in ["contaners-storage:foo", "oci-achive:x.tar", "x:", "C:a/b"] {
        let said = world.fails(2, &format!("export web {sink}"));
        assert!(said.contains("is no transport"), "{said}");
        assert!(said.contains("oci-archive:") && said.contains(&format!("./{sink}")), "{said}");
        assert!(!world.path(sink).exists(), "{sink}");
    }
    world.ok("export web ./a:b");
    assert!(world.path("a:b/etc/web/web.conf").exists());
}

#[test]
fn a_layout_with_a_broken_blob_is_mended_by_the_next_export() {
    let world = World::with_web();
    world.ok("export web~1 oci:there");
    world.sh("for blob in there/blobs/sha256/*; do truncate -s 100 $blob; done");
    world.ok("export web~1 oci:there");
    world.sh("cd there/blobs/sha256 && for blob in *; do echo \"$blob  $blob\"; done | sha256sum -c --quiet");
    world.ok("import -q oci:there again");
}

#[test]
fn a_terminal_is_shown_names_and_obeys_none() {
    let world = World::new();
    world.sh(
        "mkdir tree && touch \"tree/$(printf 'a\\033]0;owned\\007')\" tree/é && $IMGIT import -q ./tree t",
    );
    let raw = "a\x1b]0;owned\x07";
    let escaped = "a\\x1b]0;owned\\x07";
    let on_terminal = |line: &str| {
        world.sh_text(&format!(
            "python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' $IMGIT {line} < /dev/null"
        ))
    };
    for (line, slash) in [("ls t", ""), ("ls -R t", ""), ("find t --type f", "/")] {
        assert_eq!(world.ok(line), format!("{slash}{raw}\n{slash}é\n"), "{line}");
        assert_eq!(on_terminal(line), format!("{slash}{escaped}\r\n{slash}é"), "{line}");
    }
    assert!(on_terminal("ls -l t").contains(escaped));
    assert_eq!(on_terminal("find t -0 --type f"), format!("/{raw}\0/é\0"));
}
