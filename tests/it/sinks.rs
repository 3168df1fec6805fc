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
