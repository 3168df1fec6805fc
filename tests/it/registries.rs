//! Pull, push and copy as a person types them, against Debian's registry, with skopeo and podman on
//! the other side.

use crate::support::DAWN;
use crate::support::DAY;
use crate::support::World;
use crate::support::registry::Registry;
use crate::support::sha256;
use serde_json::Value;

/// Every blob and manifest that the raw manifest `name` leads to, by digest.
fn digests(registry: &Registry, name: &str) -> Vec<String> {
    let manifest: Value = serde_json::from_slice(&registry.raw(name)).unwrap();
    let repository = &name[..name.rfind([':', '@']).unwrap()];
    let mut found = Vec::new();
    for child in manifest["manifests"].as_array().into_iter().flatten() {
        let digest = child["digest"].as_str().unwrap();
        found.push(digest.to_string());
        found.extend(digests(registry, &format!("{repository}@{digest}")));
    }
    let blobs = manifest["layers"].as_array().into_iter().flatten().chain(manifest.get("config"));
    found.extend(blobs.map(|blob| blob["digest"].as_str().unwrap().to_string()));
    found
}

/// The same manifest under both names, and the same bytes of all that it leads to.
fn assert_same(one: &Registry, name: &str, other: &Registry, other_name: &str) {
    assert_eq!(one.raw(name), other.raw(other_name), "{name} and {other_name}");
    let all = digests(one, name);
    assert!(!all.is_empty());
    for digest in all {
        let bytes = one.blob(&digest).unwrap_or_else(|| panic!("{digest} of {name}"));
        assert_eq!(format!("sha256:{}", sha256(&bytes)), digest);
        assert_eq!(other.blob(&digest), Some(bytes), "{digest} of {other_name}");
    }
}

#[test]
fn a_tag_is_a_branch_that_somebody_else_moves() {
    let (world, registry) = (World::new(), Registry::start());
    let name = registry.name("web:latest");
    let first = registry.push("web-v1.oci:v1", "web:latest");
    let said = world.run(&format!("pull {name}"));
    assert_eq!(said.code, 0, "{said}");
    assert!(said.stderr.contains(&format!("Pulling docker://{name}")), "{said}");
    assert!(world.ok(&format!("log {name}")).contains(&first));

    // What has not moved costs one request.
    let before = registry.requests().len();
    let said = world.run(&format!("pull {name}"));
    assert!(said.stderr.contains("is up to date"), "{said}");
    assert_eq!(registry.requests()[before..], ["HEAD /v2/web/manifests/latest"]);

    world.at(DAWN + DAY);
    world.ok(&format!("copy docker-archive:testdata/web-v2.docker.tar docker://{name}"));
    world.ok(&format!("pull {name} -m friday"));
    assert_eq!(world.ok(&format!("log --oneline {name}")).lines().count(), 2);
    assert!(world.ok(&format!("diff {name}~1 {name}")).contains("/etc/web/web.conf"));
    let yesterday = world.ok(&format!("inspect {name}@{{2026-01-01T12:00:00Z}} --json"));
    assert!(yesterday.contains(&first), "{yesterday}");
    world.assert_sound();
}

#[test]
fn layers_that_the_store_has_are_not_fetched() {
    let (world, registry) = (World::new(), Registry::start());
    registry.push("web-v1.oci:v1", "web:1");
    world.ok("import oci:testdata/web-v1.oci:v1 local");
    world.ok(&format!("pull {}", registry.name("web:1")));
    let asked = registry.requests();
    assert!(!asked.iter().any(|request| request.starts_with("GET /v2/web/blobs/")), "{asked:?}");
}

#[test]
fn what_is_pulled_and_pushed_elsewhere_is_the_same_to_the_byte() {
    for fixture in ["web-v1.oci:v1", "notes-zstd.oci:notes", "notes-chunked.oci:notes"] {
        let (world, here, there) = (World::new(), Registry::start(), Registry::start());
        let digest = here.push(fixture, "team/web:1");
        world.ok(&format!("pull {} web:1", here.name("team/web:1")));
        let said = world.ok(&format!("push web:1 {}", there.name("other/web")));
        assert_eq!(said.trim_end(), digest, "{fixture}");
        assert_same(&here, "team/web:1", &there, "other/web:1");

        let again = world.run(&format!("push web:1 {}", there.name("other/web:again")));
        assert!(again.stderr.contains(": 0 blobs sent"), "{again}");
        assert_eq!(there.raw("other/web:again"), here.raw("team/web:1"));

        // Past the store, and into another repository of the same registry without a transfer.
        let sent = there.requests().len();
        let third = there.name("third:1");
        assert_eq!(world.ok(&format!("copy docker://{} docker://{third}", there.name("other/web:1"))), said);
        assert!(!there.requests()[sent..].iter().any(|request| request.starts_with("PATCH")));
        assert_same(&here, "team/web:1", &there, "third:1");
    }
}

#[test]
fn an_index_goes_with_all_its_platforms_or_with_one() {
    let (world, registry) = (World::new(), Registry::start());
    world.ok("import testdata/notes-multi.oci.tar notes");
    let digest = world.ok(&format!("push notes {}", registry.name("notes:all")));
    assert_eq!(format!("sha256:{}\n", sha256(&registry.raw("notes:all"))), digest);
    world.ok(&format!("push notes {} --platform linux/arm64 --digestfile one", registry.name("notes:arm")));
    let one = String::from_utf8(world.read("one")).unwrap();
    assert!(String::from_utf8_lossy(&registry.raw("notes:all")).contains(&one));

    // A store that takes one platform alone is told by one request that the tag has not moved.
    let name = registry.name("notes:all");
    let pull = format!("--store small pull {name} --platform linux/arm64");
    world.ok(&pull);
    assert!(world.ok(&format!("--store small inspect {name}")).contains(&one));
    let before = registry.requests().len();
    assert!(world.run(&pull).stderr.contains("up to date"));
    assert_eq!(registry.requests()[before..], ["HEAD /v2/notes/manifests/all"]);
}

#[test]
fn what_is_pushed_runs_in_podman() {
    let (world, registry) = (World::new(), Registry::start());
    world.ok("import oci:testdata/web-v1.oci:v1 web");
    world.ok(&format!("push web {}", registry.name("web:1")));
    world.podman(&format!("pull -q --tls-verify=false {}", registry.name("web:1")));
    let image = registry.name("web:1");
    let said = world.podman(&format!(
        "--runtime=/usr/sbin/runc run --rm --network=none --ulimit nofile=1024:1024 \
         --ulimit nproc=1024:1024 --entrypoint /bin/busybox {image} echo runs"
    ));
    assert_eq!(said, "runs");
}

#[test]
fn images_are_copied_between_any_two_places() {
    let (world, registry) = (World::new(), Registry::start());
    let digest = registry.push("web-v1.oci:v1", "web:1");
    let web = format!("docker://{}", registry.name("web:1"));
    for (dest, seen) in [
        ("oci:layout", "oci:layout:1"),
        ("oci:layout:named", "oci:layout:named"),
        ("oci-archive:web.oci.tar", "oci-archive:web.oci.tar:1"),
        ("dir:folder", "dir:folder"),
    ] {
        assert_eq!(world.ok(&format!("copy {web} {dest}")).trim_end(), digest, "{dest}");
        let raw = world.sh(&format!("skopeo inspect --raw {seen}"));
        assert_eq!(format!("sha256:{}", sha256(&raw)), digest, "{dest}");
        let back = registry.name("back:1");
        assert_eq!(world.ok(&format!("copy {seen} docker://{back}")).trim_end(), digest, "{seen}");
        assert_eq!(registry.raw("back:1"), raw);
    }
    // A docker-archive keeps layers as plain tars: the config is what stays.
    world.ok(&format!("copy {web} docker-archive:web.tar"));
    let config = world.sh(&format!("skopeo inspect --tls-verify=false --raw --config {web}"));
    assert_eq!(world.sh("skopeo inspect --raw --config docker-archive:web.tar"), config);
    assert!(world.podman("load -q -i web.tar").contains("Loaded image"));
    // Nothing of all this touched a store.
    assert!(!world.path("store").exists());

    let several = world.fails(2, &format!("copy docker-archive:testdata/notes-pair.docker.tar {web}"));
    assert!(several.contains("several images"), "{several}");
    world.sh("tar cf files.tar -C testdata/notes.dir .");
    assert!(world.fails(2, &format!("copy tar:files.tar {web}x")).contains("files, not images"));
}

#[test]
fn an_image_is_looked_at_where_it_is() {
    let (world, registry) = (World::new(), Registry::start());
    let digest = registry.push("web-v1.oci:v1", "web:1");
    let web = format!("docker://{}", registry.name("web:1"));
    let before = registry.requests().len();
    let shown = world.ok(&format!("inspect {web}"));
    // The tag, the manifest behind it, its config; no layer.
    assert_eq!(registry.requests().len() - before, 3);
    assert!(shown.contains(&digest) && shown.contains("WEB_PORT=8080"), "{shown}");
    assert_eq!(world.ok(&format!("inspect --raw {web}")).as_bytes(), registry.raw("web:1"));
    let config = world.sh(&format!("skopeo inspect --tls-verify=false --raw --config {web}"));
    assert_eq!(world.ok(&format!("inspect --config {web}")).as_bytes(), config);
    let json: Value = serde_json::from_str(&world.ok(&format!("inspect --json {web}"))).unwrap();
    assert_eq!(json["digest"], digest);
    assert!(!world.path("store").exists());
}

#[test]
fn what_is_not_there_and_what_is_no_name_is_said() {
    let (world, registry) = (World::new(), Registry::start());
    let absent = registry.name("nope");
    assert!(world.fails(4, &format!("pull {absent}")).contains(&format!("{absent}:latest not found")));
    assert!(world.fails(4, &format!("inspect docker://{absent}")).contains("not found"));
    assert!(world.fails(2, "pull Web").contains("lower-case"));
    assert!(world.fails(2, "pull oci:x").contains("is not in a registry"));
    assert!(world.fails(2, "import docker:web").contains("no `//`"));
    assert!(world.fails(1, "pull --retry-times 0 127.0.0.1:1/web").contains("127.0.0.1:1"));
    world.sh("tar cf files.tar -C testdata/notes.dir .");
    world.ok("import tar:files.tar notes");
    assert!(world.fails(2, &format!("push notes {absent}")).contains("not an image"));
    // Nothing of a failed pull is seen.
    assert!(!world.ok("catalog").contains(&absent));
}
