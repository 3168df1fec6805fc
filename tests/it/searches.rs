//! Looking into versions: `ls`, `cat`, `find`, `du`, `catalog`, and `whereis` over all of them.

use crate::support::World;
use crate::support::sha256;
use insta::assert_snapshot;

#[test]
fn ls_lists_folders_files_and_links() {
    let world = World::with_web();
    assert_snapshot!(world.ok("ls -l web /etc/web"), @r"
    drwxr-xr-x     0     0         - 2026-03-01 09:30:00 conf.d
    lrwxrwxrwx     0     0         - 2026-03-01 09:00:00 current -> releases/2
    drwxr-xr-x     0     0         - 2026-01-19 10:00:00 releases
    -rw-------     0     0      15 B 2026-01-19 10:00:00 secret.key
    -rw-r--r--     0     0      23 B 2026-03-01 09:00:00 tls.conf
    -rw-r--r--     0     0     148 B 2026-03-01 09:00:00 web.conf
    ");
    assert_snapshot!(world.ok("ls web /etc/web/conf.d"), @"order.conf");
    assert_snapshot!(world.ok("ls -lR web /opt"), @r"
    -rw-r--r--     0     0      11 B 2026-03-01 09:30:00 opt/data
    lrwxrwxrwx     0     0         - 2026-03-01 09:30:00 opt/lib -> ../usr/lib/web
    drwxr-xr-x     0     0         - 2026-03-01 09:00:00 opt/plugin
    -rwxr-xr-x     0     0      22 B 2026-03-01 09:00:00 opt/plugin/run
    ");
    assert!(world.ok("ls -l web~1 /usr/bin").contains("-rwsr-xr-x"));
    assert_eq!(world.ok("ls web / "), world.ok("ls web"));
    world.fails(4, "ls web /nope");
    world.fails(4, "ls nope");
}

#[test]
fn cat_prints_the_exact_bytes_and_follows_links_inside_only() {
    let world = World::with_web();
    world.ok("export web out");
    for path in ["etc/web/web.conf", "srv/www/img/logo.bin", "bin/busybox", "usr/bin/web3"] {
        world.sh(&format!("$IMGIT cat web /{path} | cmp - out/{path}"));
    }
    world.sh("$IMGIT cat web /etc/web/web.conf etc/web/tls.conf > both && cat out/etc/web/web.conf out/etc/web/tls.conf | cmp - both");
    world.sh(
        "mkdir -p tree/d && echo inside > tree/d/f && ln -s /d/f tree/absolute && ln -s ../../../../d/f tree/d/up \
         && ln -s loop tree/loop && ln -s d tree/folder && $IMGIT import -q ./tree links",
    );
    for path in ["/absolute", "/d/up", "/folder/f"] {
        assert_eq!(world.ok(&format!("cat links {path}")), "inside\n", "{path}");
    }
    let looped = world.run("cat links /loop");
    assert!(looped.code != 0 && looped.stderr.contains("/loop"), "{looped}");
    assert!(world.fails(4, "cat web /etc/nope").contains("/etc/nope"));
    assert!(world.fails(2, "cat web /etc").contains("/etc"));
}

#[test]
fn find_holds_all_conditions_at_once() {
    let world = World::with_web();
    let check =
        |line: &str, expected: &str| assert_eq!(world.ok(&format!("find {line}")), expected, "{line}");
    check("web --name *.conf", "/etc/web/conf.d/order.conf\n/etc/web/tls.conf\n/etc/web/web.conf\n");
    check("web --name /etc/web/*.conf", "/etc/web/tls.conf\n/etc/web/web.conf\n");
    check("web --name *.conf --size -30", "/etc/web/conf.d/order.conf\n/etc/web/tls.conf\n");
    check("web /etc/web/conf.d --type f", "/etc/web/conf.d/order.conf\n");
    check("web --type b,p", "/dev/loop0\n/run/web2.fifo\n");
    check("web~1 --mode -4000", "/usr/bin/web-su\n");
    check("web --mode -4000", "");
    check("web --mode 0600", "/dev/web0\n/etc/web/secret.key\n");
    check("web --uid 3000000", "/home/big\n/home/big/note\n");
    check("web --gid 33 --type d", "/var/log/web\n");
    check("web --xattr security.capability", "/usr/bin/web-ping\n");
    check("web~1 --size +1M", "/bin/busybox\n/sbin/init\n");
    check("web --newer 2026-03-01T09:15:00 --type f --name *data*", "/opt/data\n");
    let nul = world.ok("find web -0 --type p");
    assert_eq!(nul, "/run/web2.fifo\0");
    world.fails(2, "find web --size much");
    world.fails(2, "find web --type q");
    world.fails(4, "find web /nope");
}

#[test]
fn whereis_finds_by_path_by_hash_and_by_file() {
    let world = World::with_web();
    world.ok("tag web:v1 web~1");
    assert_snapshot!(world.ok("whereis /etc/web/*.conf"), @r"
    /etc/web/legacy.conf  70a0d595  web:v1
    /etc/web/tls.conf  f04b0645  web:latest
    /etc/web/web.conf  44231678  web:latest
    /etc/web/web.conf  ae3cbd63  web:v1
    ");
    let by_name = world.ok("whereis legacy.conf");
    assert!(by_name.starts_with("/etc/web/legacy.conf") && by_name.contains("web:v1"), "{by_name}");
    world.sh("$IMGIT cat web~1 /etc/web/web.conf > web.conf");
    let bytes = world.read("web.conf");
    let sha1 = world.sh_text("sha1sum web.conf | cut -c1-40");
    let expected = world.ok("whereis --file web.conf");
    assert_eq!(expected.lines().count(), 1);
    for what in [sha256(&bytes), format!("sha256:{}", sha256(&bytes)), sha1.clone(), format!("sha1:{sha1}")] {
        assert_eq!(world.ok(&format!("whereis {what}")), expected, "{what}");
    }
    // One content under several names.
    let twice = world.ok("whereis webd");
    assert_eq!(twice.lines().count(), 1, "{twice}");
    world.sh("$IMGIT cat web /usr/bin/webd > webd");
    assert_eq!(world.ok("whereis --file webd").lines().count(), 3, "web, webd and web3");
    for nothing in [
        "whereis nothing-like-this",
        "whereis --file testdata/README.md",
        "whereis ffffffffffffffffffffffffffffffffffffffff",
    ] {
        assert_eq!(world.run(nothing).stdout, "");
        world.fails(4, nothing);
    }
}

/// What hides behind a branch that moved on, or was deleted, is no version any more.
#[test]
fn whereis_tells_living_versions_only() {
    let world = World::with_web();
    world.ok("restore web web~1");
    world.fails(4, "whereis tls.conf");
    world.ok("restore web web@{1}");
    world.ok("whereis tls.conf");
}

#[test]
fn catalog_and_du_count_shared_bytes_once() {
    let world = World::with_web();
    world.ok("import -q oci:testdata/web-v1.oci:v1 other:v1");
    world.ok("import -q testdata/notes-multi.oci.tar notes");
    world.ok("import -q testdata/make scripts");
    world.ok("tag web:first web~1");
    let without_sizes_of_scripts = |text: String| -> String {
        text.lines().filter(|line| !line.starts_with("scripts")).map(|line| format!("{line}\n")).collect()
    };
    assert_snapshot!(without_sizes_of_scripts(world.ok("catalog")), @r"
    NAME     KIND       REFS           VERSIONS     SIZE   UNIQUE  NEWEST
    notes    index      latest                1  53.3 kB  25.2 kB  2026-01-02 00:00:00
    other    image      v1                    1   3.1 MB      0 B  2026-01-02 00:00:00
    web      image      latest,first*         2   3.1 MB   4.4 kB  2026-01-02 00:00:00
    ");
    assert!(world.ok("catalog").contains("scripts  directory"));
    assert_eq!(world.ok("catalog no*").lines().count(), 2);
    assert_snapshot!(world.ok("du web web~1").lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    VERSION       COMMIT  FILES    SIZE  SHARED  UNIQUE
    web:first   5448ba50     43  3.1 MB  3.1 MB     0 B
    web:latest  5f88648e     40  2.0 MB  2.0 MB  4.4 kB
    ");
    assert_eq!(world.ok("catalog --json").lines().count(), 4);
}
