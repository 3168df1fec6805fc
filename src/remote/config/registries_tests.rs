use super::*;
use crate::remote::config::short_names::From;
use crate::remote::config::testing::World;

const MAIN: &str = "etc/containers/registries.conf";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn load(files: &[(&str, &str)]) -> Result<Registries, String> {
    let world = World::with(files);
    Registries::load(&world.environment()).map_err(|err| world.words(&err))
}

/// `HOST/REPOSITORY`, `!` behind an insecure one.
fn shown(source: &Source) -> String {
    format!("{}/{}{}", source.host, source.repository, if source.insecure { "!" } else { "" })
}

fn check(text: &str, name: &str, expected: &[&str]) {
    let registries = load(&[(MAIN, text)]).unwrap();
    let sources = registries.sources(&ImageName::parse(name).unwrap()).unwrap();
    assert_eq!(sources.iter().map(shown).collect::<Vec<_>>(), expected, "{name}\n{text}");
    assert!(!sources.last().unwrap().is_mirror);
    assert!(sources[..sources.len() - 1].iter().all(|source| source.is_mirror));
}

#[test]
fn without_files_a_name_is_where_it_says() {
    check("", "debian", &["docker.io/library/debian"]);
    check("", "a.io:5000/x/y:1", &["a.io:5000/x/y"]);
    assert!(load(&[]).unwrap().credential_helpers().is_empty());
    assert_eq!(load(&[]).unwrap().short_names(), ShortNames::Permissive);
}

#[test]
fn the_example_of_the_manual() {
    let text = r#"
        unqualified-search-registries = ["example.com"]
        [[registry]]
        prefix = "example.com/foo"
        insecure = false
        blocked = false
        location = "internal-registry-for-example.com/bar"
        [[registry.mirror]]
        location = "example-mirror-0.local/mirror-for-foo"
        [[registry.mirror]]
        location = "example-mirror-1.local/mirrors/foo"
        insecure = true
        [[registry]]
        location = "registry.com"
        [[registry.mirror]]
        location = "mirror.registry.com"
    "#;
    check(
        text,
        "example.com/foo/image:latest",
        &[
            "example-mirror-0.local/mirror-for-foo/image",
            "example-mirror-1.local/mirrors/foo/image!",
            "internal-registry-for-example.com/bar/image",
        ],
    );
    check(text, "registry.com/image", &["mirror.registry.com/image", "registry.com/image"]);
    check(text, "example.com/foobar", &["example.com/foobar"]);
    let registries = load(&[(MAIN, text)]).unwrap();
    let to = registries.destination(&ImageName::parse("example.com/foo/image").unwrap()).unwrap();
    assert_eq!(shown(&to), "example.com/foo/image", "a push goes where its name says");
}

#[test]
fn the_longest_prefix_of_whole_parts_wins() {
    let text = r#"
        [[registry]]
        prefix = "a.io"
        location = "one.io"
        [[registry]]
        prefix = "a.io/ns"
        location = "two.io/n"
        [[registry]]
        prefix = "a.io/ns/repo"
        location = "three.io/r"
        [[registry]]
        prefix = "a.io/ns/repo:old"
        location = "four.io/r:old"
        [[registry]]
        prefix = "*.b.io"
        insecure = true
        [[registry]]
        prefix = "*.c.b.io"
        location = "five.io"
        [[registry]]
        prefix = "docker.io/library"
        location = "hub.io/official"
    "#;
    check(text, "a.io/x", &["one.io/x"]);
    check(text, "a.io/nsx/y", &["one.io/nsx/y"]);
    check(text, "a.io/ns/x", &["two.io/n/x"]);
    check(text, "a.io/ns/repo:1", &["three.io/r"]);
    check(text, &format!("a.io/ns/repo@{DIGEST}"), &["three.io/r"]);
    check(text, "a.io/ns/repo/deep", &["three.io/r/deep"]);
    check(text, "a.io/ns/repo:old", &["four.io/r"]);
    check(text, "a.io/ns/repo:older", &["three.io/r"]);
    check(text, "a.io:5000/ns/x", &["a.io:5000/ns/x"]);
    check(text, "xa.io/ns/x", &["xa.io/ns/x"]);
    check(text, "x.b.io/y", &["x.b.io/y!"]);
    check(text, "x.y.b.io:5000/y", &["x.y.b.io:5000/y!"]);
    check(text, "b.io/y", &["b.io/y"]);
    check(text, "b.io.evil.io/x.b.io/y", &["b.io.evil.io/x.b.io/y"]);
    check(text, "x.c.b.io/y", &["five.io/y"]);
    check(text, "debian", &["hub.io/official/debian"]);
    check(text, "bitnami/nginx", &["docker.io/bitnami/nginx"]);
}

#[test]
fn a_mirror_may_be_for_digests_or_tags_only() {
    let text = r#"
        [[registry]]
        location = "a.io"
        [[registry.mirror]]
        location = "all.io"
        pull-from-mirror = "all"
        [[registry.mirror]]
        location = "digest.io"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "tag.io"
        pull-from-mirror = "tag-only"
        [[registry]]
        location = "b.io"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "mirror.io/b"
    "#;
    check(text, "a.io/x:1", &["all.io/x", "tag.io/x", "a.io/x"]);
    check(text, &format!("a.io/x@{DIGEST}"), &["all.io/x", "digest.io/x", "a.io/x"]);
    check(text, &format!("a.io/x:1@{DIGEST}"), &["all.io/x", "digest.io/x", "a.io/x"]);
    check(text, "b.io/x", &["b.io/x"]);
    check(text, &format!("b.io/x@{DIGEST}"), &["mirror.io/b/x", "b.io/x"]);
}

#[test]
fn a_blocked_registry_says_who_blocked_it() {
    let text = "[[registry]]\nprefix = 'a.io/bad'\nlocation = 'a.io/bad'\nblocked = true";
    let world = World::with(&[(MAIN, text)]);
    let registries = Registries::load(&world.environment()).unwrap();
    let name = ImageName::parse("a.io/bad/x").unwrap();
    for result in [registries.sources(&name).map(|_| ()), registries.destination(&name).map(|_| ())] {
        assert_eq!(
            world.words(&result.unwrap_err()),
            "image a.io/bad/x: registry a.io/bad is blocked in W/etc/containers/registries.conf"
        );
    }
    registries.sources(&ImageName::parse("a.io/good").unwrap()).unwrap();
    let moved = "[[registry]]\nprefix = 'x.io'\nlocation = 'a.io/bad'";
    let registries = load(&[(MAIN, &format!("{text}\n{moved}"))]);
    assert!(registries.is_err(), "one place, blocked and not");
    let registries = load(&[(MAIN, text), ("etc/containers/registries.conf.d/1.conf", moved)]).unwrap();
    registries.sources(&ImageName::parse("x.io/y").unwrap()).unwrap_err();
}

#[test]
fn files_are_read_in_their_order() {
    let at = |place: &str| format!("[[registry]]\nprefix = 'a.io'\nlocation = '{place}'\n");
    let person = "home/.config/containers/registries.conf";
    let (main, d1, d2, own, own_d) = (at("main.io"), at("d1.io"), at("d2.io"), at("own.io"), at("own-d.io"));
    let all = [
        ("etc/containers/registries.conf.d/20.conf", &d2[..]),
        ("etc/containers/registries.conf.d/10.conf", &d1[..]),
        ("etc/containers/registries.conf.d/30.txt", "not TOML"),
        ("etc/containers/registries.conf.d/sub.conf/x.conf", "not TOML"),
        (MAIN, &main[..]),
        ("home/.config/containers/registries.conf.d/05.conf", &own_d[..]),
    ];
    let first = |files: &[(&str, &str)], environment: &dyn Fn(&mut Environment, &World)| {
        let world = World::with(files);
        let mut here = world.environment();
        environment(&mut here, &world);
        let registries = Registries::load(&here).map_err(|err| world.words(&err))?;
        Ok::<_, String>(shown(&registries.sources(&ImageName::parse("a.io/x").unwrap()).unwrap()[0]))
    };
    let as_is = |_: &mut Environment, _: &World| {};
    assert_eq!(first(&all, &as_is).unwrap(), "own-d.io/x");
    assert_eq!(first(&all[..5], &as_is).unwrap(), "d2.io/x");
    assert_eq!(first(&all[1..5], &as_is).unwrap(), "d1.io/x");
    assert_eq!(first(&all[2..5], &as_is).unwrap(), "main.io/x");
    // The person's own file shuts out the machine's, drop-ins and all.
    assert_eq!(first(&[&all[..5], &[(person, &own)]].concat(), &as_is).unwrap(), "own.io/x");
    assert_eq!(first(&[&all[..], &[(person, &own)]].concat(), &as_is).unwrap(), "own-d.io/x");
    // One that the environment names goes before both, and must be there.
    let named = |name: &'static str| {
        move |environment: &mut Environment, world: &World| {
            environment.registries_conf = Some(world.path(name))
        }
    };
    let named_file = [(person, &own[..]), ("named.conf", &main[..])];
    assert_eq!(first(&named_file, &named("named.conf")).unwrap(), "main.io/x");
    assert!(
        first(&named_file, &named("missing.conf")).unwrap_err().starts_with("cannot open W/missing.conf")
    );
}

#[test]
fn a_later_file_replaces_what_it_mentions() {
    let registries = load(&[
        (
            MAIN,
            "unqualified-search-registries = ['one.io', 'two.io']\ncredential-helpers = ['x']\n\
             short-name-mode = 'enforcing'\n[aliases]\na = 'a.io/a'\nb = 'b.io/b'\n\
             [[registry]]\nlocation = 'r.io'\ninsecure = true\n\
             [[registry.mirror]]\nlocation = 'm.io'\n",
        ),
        (
            "etc/containers/registries.conf.d/1.conf",
            "[aliases]\na = 'c.io/a'\nb = ''\n[[registry]]\nlocation = 'r.io'\n",
        ),
        ("etc/containers/registries.conf.d/2.conf", "unqualified-search-registries = ['three.io']"),
    ])
    .unwrap();
    assert_eq!(registries.search.as_ref().unwrap().0, ["three.io"]);
    assert_eq!(registries.credential_helpers(), ["x"]);
    assert_eq!(registries.short_names(), ShortNames::Enforcing);
    assert_eq!(registries.aliases["a"].0.as_deref(), Some("c.io/a"));
    assert_eq!(registries.aliases["b"].0, None);
    let sources = registries.sources(&ImageName::parse("r.io/x").unwrap()).unwrap();
    assert_eq!(sources.iter().map(shown).collect::<Vec<_>>(), ["r.io/x"]);
}

#[test]
fn version_1_is_read_as_what_it_meant() {
    let text = "[registries.search]\nregistries = ['one.io', 'two.io']\n\
                [registries.insecure]\nregistries = ['three.io:5000', 'four.io']\n\
                [registries.block]\nregistries = ['bad.io/', 'four.io']";
    check(text, "three.io:5000/x", &["three.io:5000/x!"]);
    check(text, "one.io/x", &["one.io/x"]);
    let registries = load(&[(MAIN, text)]).unwrap();
    assert_eq!(registries.search.as_ref().unwrap().0, ["one.io", "two.io"]);
    for blocked in ["bad.io/x", "four.io/x"] {
        registries.sources(&ImageName::parse(blocked).unwrap()).unwrap_err();
    }
}

#[test]
fn a_wrong_file_is_named_with_its_key() {
    for (text, expected) in [
        ("x = ", ", line 1, `x =`: "),
        ("\n\n[[registry]]\ninsecure = 'yes'", ", line 4, `insecure = 'yes'`: "),
        ("registry = 7", ", line 1, `registry = 7`: "),
        ("[[registry]]\ninsecure = true", ", `registry`: has neither `prefix` nor `location`"),
        ("[[registry]]\nprefix = 'a.io'", ", `registry` a.io, `location`: is missing"),
        (
            "[[registry]]\nlocation = 'https://a.io'",
            ", `registry` https://a.io, `prefix`: expected HOST[:PORT][/PATH] without a scheme, found `https://a.io`",
        ),
        (
            "[[registry]]\nlocation = 'a/b'",
            ", `registry` a/b, `prefix`: expected a host with a dot or a port, found `a/b`",
        ),
        (
            "[[registry]]\nprefix = 'a.io'\nlocation = 'b.io/../x'",
            ", `registry` a.io, `location`: expected HOST[:PORT][/PATH], found `b.io/../x`",
        ),
        (
            "[[registry]]\nprefix = '*.a.io/x'",
            ", `registry` *.a.io/x, `prefix`: expected a wildcard like `*.example.com`, without a path",
        ),
        (
            "[[registry]]\nprefix = 'a.*.io'\nlocation = 'b.io'",
            ", `registry` a.*.io, `prefix`: a wildcard is good at the front only, as `*.`",
        ),
        (
            "[[registry]]\nlocation = 'a.io'\n[[registry.mirror]]\ninsecure = true",
            ", `registry` a.io, `mirror.location`: is empty",
        ),
        (
            "[[registry]]\nlocation = 'a.io'\n[[registry.mirror]]\nlocation = 'b.io'\npull-from-mirror = 'x'",
            ", `registry` a.io, `mirror.pull-from-mirror`: expected all, digest-only or tag-only, found `x`",
        ),
        (
            "[[registry]]\nlocation = 'a.io'\nmirror-by-digest-only = true\n[[registry.mirror]]\n\
             location = 'b.io'\npull-from-mirror = 'all'",
            ", `registry` a.io, `mirror.pull-from-mirror`: cannot stand beside `mirror-by-digest-only`",
        ),
        (
            "[[registry]]\nlocation = 'a.io'\npull-from-mirror = 'all'",
            ", `registry` a.io, `pull-from-mirror`: belongs into a `registry.mirror`",
        ),
        (
            "[[registry]]\nlocation = 'a.io'\n[[registry]]\nprefix = 'b.io'\nlocation = 'a.io'\ninsecure = true",
            ", `registry` b.io, `insecure`: contradicts the table of a.io",
        ),
        (
            "unqualified-search-registries = ['https://a.io']",
            ", `unqualified-search-registries`: expected HOST[:PORT][/PATH] without a scheme, found `https://a.io`",
        ),
        (
            "unqualified-search-registries = ['a.io/x']",
            ", `unqualified-search-registries`: expected HOST[:PORT] without a path",
        ),
        (
            "short-name-mode = 'x'",
            ", `short-name-mode`: expected enforcing, permissive or disabled, found `x`",
        ),
        ("[aliases]\n'a:1' = 'b.io/a'", ", `aliases`, `a:1`: expected a name without host, tag and digest"),
        ("[aliases]\na = 'b.io/a:1'", ", `aliases`, `a`: expected HOST/NAME without tag and digest"),
        ("[aliases]\na = 'b/a'", ", `aliases`, `a`: expected a host with a dot or a port, found `b/a`"),
        (
            "[registries.search]\nregistries = []\n[[registry]]\nlocation = 'a.io'",
            ", `registries`: is of version 1, and the rest of the file of version 2",
        ),
    ] {
        let err = load(&[(MAIN, text)]).unwrap_err();
        let expected = format!("W/{MAIN}{expected}");
        assert!(err.starts_with(&expected), "{text}\nfound    {err}\nexpected {expected}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    let old = "[registries.search]\nregistries = []";
    let drop_in = "etc/containers/registries.conf.d/1.conf";
    assert_eq!(
        load(&[(drop_in, old)]).unwrap_err(),
        format!("W/{drop_in}, `registries`: a drop-in must be of version 2")
    );
}

#[test]
fn a_hostile_file_costs_little() {
    let deep = format!("x = {}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(load(&[(MAIN, &deep)]).is_err());
    let tables = format!("x = {}1{}", "{a=".repeat(100_000), "}".repeat(100_000));
    assert!(load(&[(MAIN, &tables)]).is_err());
    let keys = format!("[{}a]", "a.".repeat(200_000));
    let _ = load(&[(MAIN, &keys)]);
    let large = format!("# {}", "x".repeat(1 << 20));
    assert_eq!(load(&[(MAIN, &large)]).unwrap_err(), format!("W/{MAIN} is over the limit of 1048576 bytes"));
    let many = "[[registry]]\nlocation='a.io'\n".repeat(20_000);
    load(&[(MAIN, &many)]).unwrap();
    assert!(World::with(&[(MAIN, "")]).path(MAIN).is_file());
    let world = World::new();
    crate::fs::create_dir_all(&world.path("etc/containers")).unwrap();
    crate::fs::write_atomic(&world.path(MAIN), b"x = '\xff'").unwrap();
    let err = Registries::load(&world.environment()).unwrap_err();
    assert_eq!(world.words(&err), format!("W/{MAIN}: expected TOML, found bytes"));
}

#[test]
fn a_location_with_a_tag_of_its_own_is_refused() {
    let text = "[[registry]]\nprefix = 'a.io/x:1'\nlocation = 'b.io/x:2'";
    let registries = load(&[(MAIN, text)]).unwrap();
    let err = registries.sources(&ImageName::parse("a.io/x:1").unwrap()).unwrap_err();
    assert!(err.to_string().ends_with("`b.io/x:2` has a tag or digest of its own, which is not followed"));
}

#[test]
fn short_names_stand_for_what_is_configured() {
    let learnt = "home/.cache/containers/short-name-aliases.conf";
    let aliases = "[aliases]\ncentos = 'quay.io/centos/centos'\n'team/app' = 'a.io/team/app'\nfedora = ''";
    let search = "unqualified-search-registries = ['one.io', 'docker.io']\n";
    let resolve = |files: &[(&str, &str)], typed: &str| {
        let world = World::with(files);
        let registries = Registries::load(&world.environment()).unwrap();
        let resolved = registries.resolve(typed).unwrap();
        let names = resolved.names.iter().map(ImageName::full).collect::<Vec<_>>().join(" ");
        let from = match resolved.from {
            From::Typed => "typed".to_owned(),
            From::Default => "default".to_owned(),
            From::Alias(path) | From::Search(path) => {
                path.strip_prefix(world.root()).unwrap().display().to_string()
            }
        };
        (names, from)
    };
    let is = |names: &str, from: &str| (names.to_owned(), from.to_owned());
    let both = format!("{search}{aliases}");
    let both = [(MAIN, &both[..])];
    assert_eq!(resolve(&[], "debian"), is("docker.io/library/debian:latest", "default"));
    assert_eq!(resolve(&[(MAIN, aliases)], "debian:12"), is("docker.io/library/debian:12", "default"));
    assert_eq!(resolve(&both, "centos:7"), is("quay.io/centos/centos:7", MAIN));
    assert_eq!(resolve(&both, &format!("team/app@{DIGEST}")), is(&format!("a.io/team/app@{DIGEST}"), MAIN));
    assert_eq!(resolve(&both, "debian:12"), is("one.io/debian:12 docker.io/library/debian:12", MAIN));
    assert_eq!(resolve(&both, "fedora"), is("one.io/fedora:latest docker.io/library/fedora:latest", MAIN));
    assert_eq!(resolve(&both, "docker.io/centos"), is("docker.io/library/centos:latest", "typed"));
    assert_eq!(resolve(&both, "localhost/centos"), is("localhost/centos:latest", "typed"));
    let learnt_too = [both[0], (learnt, "[aliases]\ncentos = 'learnt.io/centos'")];
    assert_eq!(resolve(&learnt_too, "centos"), is("learnt.io/centos:latest", learnt));
}
