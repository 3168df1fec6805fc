//! Histories, names of versions, and what each reading verb says of the planted differences.

use crate::support::DAWN;
use crate::support::DAY;
use crate::support::World;
use insta::assert_snapshot;
use serde_json::Value;

#[test]
fn log_shows_versions_newest_first_in_every_form() {
    let world = World::with_web();
    assert_snapshot!(world.ok("log web"), @r"
    commit 5f88648e2e75162d9c7201eacfbcf9a527f48890e3cdbcca5ad1e2696ded0cb1 (web:latest)
    Author: Ada <ada@example.com>
    Date:   2026-01-02 00:00:00 +0000
    Source: docker-archive:testdata/web-v2.docker.tar
    Digest: sha256:e023a6a87d57cd05fed94fd00cec08a473cd5c8ac0bb5f5d487a884a77afd71a (image)

        import docker-archive:testdata/web-v2.docker.tar

    commit 5448ba50622b990188649a752091cd26c0c82301468650c39da69b1d15678c24
    Author: Ada <ada@example.com>
    Date:   2026-01-01 00:00:00 +0000
    Source: oci:testdata/web-v1.oci:v1
    Digest: sha256:6d20093a9b166e41fa9b76c788e103af29b20dbdc83b78fe56c2eadb5451f54b (image)

        import oci:testdata/web-v1.oci:v1
    ");
    assert_snapshot!(world.ok("log --graph --oneline web"), @r"
    * 5f88648e (web:latest) import docker-archive:testdata/web-v2.docker.tar
    * 5448ba50 import oci:testdata/web-v1.oci:v1
    ");
    assert_snapshot!(world.ok("log --graph web"), @r"
    * commit 5f88648e2e75162d9c7201eacfbcf9a527f48890e3cdbcca5ad1e2696ded0cb1 (web:latest)
    | Author: Ada <ada@example.com>
    | Date:   2026-01-02 00:00:00 +0000
    | Source: docker-archive:testdata/web-v2.docker.tar
    | Digest: sha256:e023a6a87d57cd05fed94fd00cec08a473cd5c8ac0bb5f5d487a884a77afd71a (image)
    |
    |     import docker-archive:testdata/web-v2.docker.tar
    |
    * commit 5448ba50622b990188649a752091cd26c0c82301468650c39da69b1d15678c24
      Author: Ada <ada@example.com>
      Date:   2026-01-01 00:00:00 +0000
      Source: oci:testdata/web-v1.oci:v1
      Digest: sha256:6d20093a9b166e41fa9b76c788e103af29b20dbdc83b78fe56c2eadb5451f54b (image)

          import oci:testdata/web-v1.oci:v1
    ");
    assert_eq!(world.ok("log"), world.ok("log web"));
    assert_eq!(world.ok("log --oneline web~1..web").lines().count(), 1);
    assert_eq!(world.ok("log --oneline -n 1 web"), world.ok("log --oneline web~1..web"));
    assert_eq!(world.ok("log web..web~1"), "");
    // By path: versions in which it is another thing than before.
    assert_eq!(world.ok("log --oneline web /etc/web"), world.ok("log --oneline web"));
    assert_eq!(world.ok("log --oneline web /bin/busybox"), world.ok("log --oneline web~1"));
    let json = world.ok("log --json web");
    let commits: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(commits[0]["parents"][0], commits[1]["commit"]);
    assert_eq!(commits[0]["refs"][0], "web:latest");
    assert_eq!(commits[1]["time"], DAWN);
}

#[test]
fn every_revision_names_the_version_it_should() {
    let world = World::with_web();
    world.at(DAWN + 2 * DAY);
    let of = |revision: &str| world.ok(&format!("log -n 1 --oneline {revision}"))[..8].to_string();
    let (first, second) = (of("web~1"), of("web"));
    assert_ne!(first, second);
    let whole = world.ok("log -n 1 --json web~1");
    let whole: Value = serde_json::from_str(&whole).unwrap();
    for (revision, expected) in [
        ("web:latest", &second),
        ("web^", &first),
        ("web^1", &first),
        ("web~0", &second),
        ("web@{0}", &second),
        ("web@{1}", &first),
        ("web@{2026-01-01T12:00}", &first),
        ("web@{2026-01-02}", &second),
        (&first[..6], &first),
        (&first, &first),
        (whole["commit"].as_str().unwrap(), &first),
        (&format!("web@{}", whole["digest"].as_str().unwrap()), &first),
    ] {
        assert_eq!(&of(revision), expected, "{revision}");
    }
    for (revision, said) in [
        ("web~2", "1 before it"),
        ("web@{2}", "has moved 2 times"),
        ("web@{2025-12-31}", "web:latest"),
        ("web:nope", "web:nope"),
        ("nope", "nope:latest"),
        ("ffffff", "ffffff"),
        ("web@sha256:0000000000000000000000000000000000000000000000000000000000000000", "sha256:0000"),
    ] {
        let words = world.fails(4, &format!("show {revision}"));
        assert!(words.contains(said), "{revision}: {words}");
    }
    for revision in ["web@{", "web~x", "Web Site", "..", "web@{nonsense}"] {
        let outcome = world.command().args(["show", revision]).output().unwrap();
        assert!(outcome.status.code() == Some(2), "{revision}: {outcome:?}");
    }
}

#[test]
fn tags_stay_and_branches_move() {
    let world = World::with_web();
    world.at(DAWN + 2 * DAY);
    world.ok("tag web:stable web~1");
    let refused = world.fails(1, "tag web:stable web");
    assert!(refused.contains("web:stable") && refused.contains("--force"), "{refused}");
    let refused = world.fails(1, "import oci:testdata/notes-zstd.oci:notes web:stable");
    assert!(refused.contains("a tag does not move"), "{refused}");
    assert_eq!(world.ok("log --oneline web:stable"), world.ok("log --oneline web~1"));
    world.ok("tag --force web:stable web");
    world.ok("branch web:next web~1");
    world.fails(1, "branch web:next web");
    world.fails(1, "branch --force web:stable web~1");
    assert_snapshot!(world.ok("tag"), @r"
    TAG           COMMIT  TIME                 MESSAGE
    web:stable  5f88648e  2026-01-02 00:00:00  import docker-archive:testdata/web-v2.docker.tar
    ");
    assert_snapshot!(world.ok("branch"), @r"
    BRANCH        COMMIT  TIME                 MESSAGE
    web:latest  5f88648e  2026-01-02 00:00:00  import docker-archive:testdata/web-v2.docker.tar
    web:next    5448ba50  2026-01-01 00:00:00  import oci:testdata/web-v1.oci:v1
    ");
    world.ok("restore web:next web");
    assert!(world.run("restore web:next web").stderr.contains("already"));
    world.at(DAWN + 3 * DAY);
    world.ok("branch --delete web:next");
    world.fails(4, "branch --delete web:next");
    world.fails(4, "tag --delete web:latest");
    world.fails(4, "restore web:next web");
    assert_snapshot!(world.ok("reflog web:next"), @r"
    deleted  web:next@{0} 2026-01-04 00:00:00 branch: deleted
    5f88648e web:next@{1} 2026-01-03 00:00:00 restore: to web
    5448ba50 web:next@{2} 2026-01-03 00:00:00 branch: created at 5448ba50
    ");
    world.ok("tag --delete web:stable");
    world.fails(4, "reflog web:never");
    world.assert_sound();
}

/// The line was reversed once by the library and once more by the command: `@{0}` was the oldest.
#[test]
fn reflog_counts_from_the_newest_also_at_one_time() {
    let world = World::new();
    for source in ["oci:testdata/web-v1.oci:v1", "docker-archive:testdata/web-v2.docker.tar"] {
        world.ok(&format!("import {source} web"));
    }
    assert_snapshot!(world.ok("reflog web"), @r"
    fa75e8c9 web:latest@{0} 2026-01-01 00:00:00 import: docker-archive:testdata/web-v2.docker.tar
    5448ba50 web:latest@{1} 2026-01-01 00:00:00 import: oci:testdata/web-v1.oci:v1
    ");
    assert_eq!(world.ok("log --oneline -n 1 web@{1}"), world.ok("log --oneline web~1"));
    // A restore shows in the reflog, and back it goes.
    let before = world.ok("log --json web");
    world.ok("restore web web~1");
    assert_eq!(world.ok("log --oneline web").lines().count(), 1);
    world.ok("restore web web@{1}");
    assert_eq!(world.ok("log --json web"), before);
    assert_eq!(world.ok("reflog web").lines().count(), 4);
}

#[test]
fn diff_finds_every_planted_difference_and_nothing_else() {
    let world = World::with_web();
    assert_snapshot!(shortened(&world.ok("diff web~1 web")), @r"
    M  /dev/web0  (device number, time)
    T  /etc/localtime  (symlink -> file, time)
    D  /etc/web/conf.d/gzip.conf
    A  /etc/web/conf.d/order.conf
    M  /etc/web/current  (target releases/1 -> releases/2, time)
    D  /etc/web/legacy.conf
    M  /etc/web/secret.key  (mode 0644 -> 0600)
    A  /etc/web/tls.conf
    M  /etc/web/web.conf  (content, 126 B -> 148 B, time)
    M  /home/big  (owner 0:0 -> 3000000:3000000, time)
    M  /home/big/note  (owner 0:0 -> 3000000:3000000)
    T  /opt/data  (directory -> file, mode 0755 -> 0644, time)
    D  /opt/data/a
    D  /opt/data/b
    T  /opt/lib  (directory -> symlink, time)
    D  /opt/lib/libweb.txt
    T  /opt/plugin  (file -> directory, time)
    A  /opt/plugin/run
    D  /run/web.fifo
    A  /run/web2.fifo
    M  /srv/www/caf\xe9.html  (content, 8 B -> 24 B, time)
    M  /srv/www/css/site.css  (xattr user.checked)
    D  /srv/www/directory-with-a-long-name
    M  /srv/www/empty.txt  (content, 0 B -> 16 B, time)
    M  /srv/www/img/logo.bin  (content, 4.1 kB as before, time)
    M  /srv/www/index.html  (xattr user.charset user.mime_type, hard links)
    A  /srv/www/news
    A  /srv/www/news/v2.html
    R  /srv/www/n…nnnnnnnnnn.html -> /srv/www/n…nnnnnnnnn2.html
    D  /srv/www/old
    D  /srv/www/old/2019
    D  /srv/www/old/2019/news.html
    D  /srv/www/old/archive.html
    D  /srv/www/\xff\xfeodd
    M  /usr/bin/web  (hard links)
    M  /usr/bin/web-ping  (xattr security.capability)
    M  /usr/bin/web-su  (mode 4755 -> 0755)
    A  /usr/bin/web3
    M  /usr/bin/webd  (hard links, time)
    A  /usr/local-index.html
    R  /usr/share/doc/web/README -> /usr/share/doc/web/README.md
    D  /usr/share/web/themes/dark
    A  /usr/share/web/themes/night
    R  /usr/share/web/themes/dark/colours -> /usr/share/web/themes/night/colours
    R  /usr/share/web/themes/dark/fonts -> /usr/share/web/themes/night/fonts
    D  /var/cache/web/b
    A  /var/cache/web/c
    D  /var/lib
    D  /var/lib/sparse.img
    M  /var/log/web  (owner 0:0 -> 33:33)
    M  /var/log/web/access.log  (owner 0:0 -> 33:33)
    M  /var/spool/web  (mode 1777 -> 0755)
    ");
    assert_snapshot!(world.run("diff web~1 web --stat /etc /run /usr/share").stdout, @r"
     /etc/localtime | 0 B -> 15 B (+15 B)
     /etc/web/conf.d/gzip.conf | 8 B -> 0 B (-8 B)
     /etc/web/conf.d/order.conf | 0 B -> 28 B (+28 B)
     /etc/web/current | target releases/1 -> releases/2, time
     /etc/web/legacy.conf | 10 B -> 0 B (-10 B)
     /etc/web/secret.key | mode 0644 -> 0600
     /etc/web/tls.conf | 0 B -> 23 B (+23 B)
     /etc/web/web.conf | 126 B -> 148 B (+22 B)
     /run/web.fifo | removed
     /run/web2.fifo | added
     /usr/share/doc/web/README.md | renamed
     /usr/share/web/themes/dark | removed
     /usr/share/web/themes/night | added
     /usr/share/web/themes/night/colours | renamed
     /usr/share/web/themes/night/fonts | renamed
    4 added, 4 removed, 4 changed, 3 renamed; 6 more differ only in their time
    ");
    assert_eq!(world.ok("diff web~1..web"), world.ok("diff web~1 web"));
    let summary = world.run("diff web~1 web").stderr;
    assert_snapshot!(summary, @"10 added, 28 removed, 22 changed, 4 renamed; 17 more differ only in their time (--times lists them)");
    // Backwards: what was added is removed.
    let back = world.run("diff web web~1 --no-renames").stderr;
    let forth = world.run("diff web~1 web --no-renames").stderr;
    let count = |text: &str, word: &str| {
        let part = text.split(", ").find(|part| part.contains(word)).unwrap();
        part.split(' ').next().unwrap().to_string()
    };
    assert_eq!(count(&back, "added"), count(&forth, "removed"));
    assert_eq!(count(&back, "removed"), count(&forth, "added"));
}

/// Twelve long folders and a name of 255 bytes would drown the rest.
fn shortened(text: &str) -> String {
    let lines = text.lines().filter(|line| line.matches("directory-with-a-long-name").count() < 2);
    let short = |line: &str| line.replace(&"n".repeat(240), "n…").replace(&"n".repeat(30), "");
    lines.map(|line| short(line) + "\n").collect()
}

#[test]
fn diff_forms_paths_and_exit_codes() {
    let world = World::with_web();
    assert_snapshot!(world.ok("diff web~1 web --name-status /etc/web /usr/share"), @r"
    D	/etc/web/conf.d/gzip.conf
    A	/etc/web/conf.d/order.conf
    M	/etc/web/current
    D	/etc/web/legacy.conf
    M	/etc/web/secret.key
    A	/etc/web/tls.conf
    M	/etc/web/web.conf
    R100	/usr/share/doc/web/README	/usr/share/doc/web/README.md
    D	/usr/share/web/themes/dark
    A	/usr/share/web/themes/night
    R100	/usr/share/web/themes/dark/colours	/usr/share/web/themes/night/colours
    R100	/usr/share/web/themes/dark/fonts	/usr/share/web/themes/night/fonts
    ");
    assert_snapshot!(world.ok("diff -p web~1 web /etc/web/web.conf /srv/www/img /etc/web/legacy.conf"), @r"
    D  /etc/web/legacy.conf
    M  /etc/web/web.conf  (content, 126 B -> 148 B, time)
    M  /srv/www/img/logo.bin  (content, 4.1 kB as before, time)
    --- a/etc/web/legacy.conf
    +++ /dev/null
    @@ -1 +0,0 @@
    -legacy on
    --- a/etc/web/web.conf
    +++ b/etc/web/web.conf
    @@ -1,7 +1,8 @@
     # web.conf: the server's settings
    -listen 8080
    +listen 8443
     root /srv/www
    -workers 2
    +workers 4
     index index.html
     log /var/log/web/access.log
     timeout 30
    +tls /etc/web/tls.conf
    Binary files a/srv/www/img/logo.bin and b/srv/www/img/logo.bin differ
    ");
    assert_snapshot!(world.ok("diff -p -U0 web~1 web /etc/web/web.conf"), @r"
    M  /etc/web/web.conf  (content, 126 B -> 148 B, time)
    --- a/etc/web/web.conf
    +++ b/etc/web/web.conf
    @@ -2 +2 @@
    -listen 8080
    +listen 8443
    @@ -4 +4 @@
    -workers 2
    +workers 4
    @@ -7,0 +8 @@
    +tls /etc/web/tls.conf
    ");
    assert_snapshot!(world.ok("diff --config --stat web~1 web /bin/busybox"), @r#"
    config env - WEB_PORT=8080
    config env - WEB_DEBUG=1
    config env + WEB_PORT=8443
    config env + WEB_TLS=1
    config entrypoint - ["/usr/bin/web"]
    config entrypoint + ["/usr/bin/web3"]
    config cmd - ["--quiet"]
    config cmd + ["--quiet", "--tls"]
    config user - www-data
    config user + 33:33
    config ports + 8443/tcp
    config labels - org.opencontainers.image.version=1.0
    config labels - stage=beta
    config labels + org.opencontainers.image.title=web
    config labels + org.opencontainers.image.version=2.0
    config stop signal - SIGTERM
    config stop signal + SIGQUIT
    config created - 2026-02-01T10:00:00Z
    config created + 2026-03-01T10:00:00Z
    config history - clean up
    config history - names that are not UTF-8
    config history - sub-second times and holes
    config history + version 2
    config history + warm the cache afresh
    config history + odd things by hand
    no differences
    "#);
    assert_snapshot!(world.ok("diff --times --name-status web~1 web /home /srv/www/robots.txt"), @r"
    M	/home/big
    M	/home/big/nanoseconds
    M	/home/big/note
    M	/srv/www/robots.txt
    ");
    for (code, line) in [
        (0, "diff --exit-code web web"),
        (1, "diff --exit-code web~1 web"),
        (0, "diff web~1 web"),
        (0, "diff --exit-code web~1 web /bin"),
        (1, "diff --exit-code --config web~1 web /bin"),
        (0, "diff --exit-code web~1 web /srv/www/robots.txt"),
        (1, "diff --exit-code --times web~1 web /srv/www/robots.txt"),
        (2, "diff --exit-code web nope"),
        (2, "diff web"),
        (2, "diff --layer 0 web"),
        (2, "diff --layer 7 web"),
        (2, "diff web ./no-such-folder"),
    ] {
        world.fails(code, line);
    }
    let json = world.ok("diff --json web~1 web");
    let records: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let conf = records.iter().find(|record| record["path"] == "/etc/web/web.conf").unwrap();
    assert_eq!(conf["status"], "M");
    assert_eq!((&conf["old"]["size"], &conf["new"]["size"]), (&126.into(), &148.into()));
    let last = records.last().unwrap();
    assert_eq!(last["message_type"], "summary");
    let total: u64 =
        ["added", "removed", "changed", "renamed"].iter().map(|word| last[word].as_u64().unwrap()).sum();
    assert_eq!(records.len() as u64 - 1, total);
}

#[test]
fn a_side_may_be_a_layer_or_a_folder() {
    let world = World::with_web();
    assert_snapshot!(world.ok("diff web --layer 6"), @r"
    D  /etc/web/conf.d/gzip.conf
    A  /etc/web/conf.d/order.conf
    T  /opt/data  (directory -> file, mode 0755 -> 0644, time)
    D  /opt/data/a
    D  /opt/data/b
    T  /opt/lib  (directory -> symlink, time)
    D  /opt/lib/libweb.txt
    A  /srv/www/caf\xe9.html
    M  /srv/www/index.html  (hard links)
    A  /usr/local-index.html
    ");
    assert_snapshot!(world.ok("diff web --layer 5 --name-status"), @r"
    D	/var/cache/web/b
    A	/var/cache/web/c
    ");
    assert_eq!(world.ok("diff web~1 web --layer 3"), "", "layers 1 to 3 are the same in both");
    world.ok("export web out");
    world.sh(
        "echo more >> out/etc/web/web.conf && rm out/etc/web/tls.conf && chmod 600 out/srv/www/robots.txt",
    );
    assert_snapshot!(world.ok("diff web ./out"), @r"
    D  /etc/web/tls.conf
    M  /etc/web/web.conf  (content, 148 B -> 153 B, time)
    M  /srv/www/robots.txt  (mode 0644 -> 0600)
    ");
    world.sh("cp -a out two && rm two/run/web2.fifo");
    assert_eq!(world.ok("diff --name-status ./out ./two"), "D\t/run/web2.fifo\n");
    // Two folders need no store.
    let alone = World::new();
    alone.sh("mkdir -p a b && echo 1 > b/new");
    assert_eq!(alone.ok("diff --name-status ./a ./b"), "A\t/new\n");
    assert!(!alone.path("store").exists());
}

#[test]
fn show_tells_a_version_and_its_changes() {
    let world = World::with_web();
    let shown = world.ok("show web");
    assert!(shown.starts_with(world.ok("log -n 1 web").trim_end()), "{shown}");
    assert!(shown.ends_with(&world.ok("diff web~1 web")), "{shown}");
    assert_eq!(world.ok("show web~1"), world.ok("log web~1"));
    assert!(world.ok("show -p web").contains("+workers 4"));
    let mut import = world.command();
    import.args(["import", "-q", "testdata/notes.dir", "notes", "-m", "two words", "--label", "ticket=7"]);
    assert!(import.status().unwrap().success());
    assert_snapshot!(world.ok("show notes"), @r"
    commit 2211531f44e66ec93fa3d6e2d07bc6f97dcdb45e2069faf01a8f2db54be18be9 (notes:latest)
    Author: Ada <ada@example.com>
    Date:   2026-01-02 00:00:00 +0000
    Source: dir:testdata/notes.dir
    Digest: sha256:f798dacff5268890d227d9d233ad7a96ce361a5977ddb074ce055710fcebad78 (image)
    Label:  ticket=7

        two words
    ");
    assert_snapshot!(world.ok("inspect notes"), @r"
    Commit:      2211531f44e66ec93fa3d6e2d07bc6f97dcdb45e2069faf01a8f2db54be18be9
    Kind:        image (application/vnd.docker.distribution.manifest.v2+json)
    Digest:      sha256:f798dacff5268890d227d9d233ad7a96ce361a5977ddb074ce055710fcebad78
    Source:      dir:testdata/notes.dir
    Tree:        6 entries, 53.2 kB
    Manifest:    sha256:f798dacff5268890d227d9d233ad7a96ce361a5977ddb074ce055710fcebad78
    Platform:    linux/amd64
    Created:     2026-02-01T00:00:00Z
    Cmd:         /notes/read
    Env:         EDITION=1
    Label:       edition=1
    Label:       io.buildah.version=1.28.2
    Layer 1      6d071f5ca650 18.6 kB (compressed bytes kept) 'licence texts'
    Layer 2      839daed2317e 184 B (compressed bytes kept) 'edition 1'
    ");
}

/// `diff --exit-code` with a mistyped path said "no differences" and 0: a green light for a typo.
#[test]
fn a_path_on_neither_side_is_no_equality() {
    let world = World::with_web();
    world.fails(2, "diff --exit-code web~1 web /etc/web/web.cnf");
    assert_eq!(world.run("diff --exit-code web~1 web /etc/web/web.conf").code, 1);
    assert_eq!(world.run("diff --exit-code web~1 web /bin/busybox").code, 0);
}

/// The first version was listed for every path, also for one that never was.
#[test]
fn a_log_of_paths_lists_what_changed_them_only() {
    let world = World::with_web();
    assert_eq!(world.ok("log --oneline web /nosuch"), "");
    assert_eq!(world.ok("log --oneline web /etc/web/tls.conf").lines().count(), 1);
    assert_eq!(world.ok("log --oneline web /etc/web/web.conf").lines().count(), 2);
}
