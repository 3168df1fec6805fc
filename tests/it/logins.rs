//! The files that skopeo and podman share with us: what one writes the other reads, and what one
//! makes of a configuration the other makes too.

use crate::support::registry::Certificates;
use crate::support::registry::Options;
use crate::support::registry::PASSWORD;
use crate::support::registry::Registry;
use crate::support::registry::USER;
use imgit::oci::name::ImageName;
use imgit::remote::Reference;
use imgit::remote::Remote;
use imgit::remote::Settings;
use imgit::remote::config::auth::Auth;
use imgit::remote::config::auth::Place;
use imgit::remote::config::certs::Certs;
use imgit::remote::config::endpoints::Hosts;
use imgit::remote::config::environment::Environment;
use imgit::remote::config::registries::Registries;
use imgit::remote::endpoint::Credential;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use tempfile::TempDir;

/// A person of their own for each test: nothing of this machine's configuration is seen.
struct Person {
    home: TempDir,
}

impl Person {
    fn new() -> Person {
        let person = Person { home: TempDir::new().unwrap() };
        for folder in ["run", ".config/containers"] {
            fs::create_dir_all(person.path(folder)).unwrap();
        }
        // Without it the containers tools would read the machine's.
        person.write(".config/containers/registries.conf", "");
        person
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [("HOME", self.path("")), ("XDG_RUNTIME_DIR", self.path("run"))]
    }

    fn environment(&self) -> Environment {
        Environment::read(self.home.path(), 1000, |name| {
            let variables = self.variables();
            variables.into_iter().find(|(other, _)| *other == name).map(|(_, value)| value.into())
        })
    }

    fn auth(&self) -> Auth {
        Auth::new(&self.environment(), None, &[])
    }

    fn hosts(&self, tls_verify: Option<bool>) -> Hosts {
        let environment = self.environment();
        Hosts {
            registries: Registries::load(&environment).unwrap(),
            certs: Certs::new(&environment, None),
            tls_verify,
        }
    }

    fn remote(&self) -> Remote {
        let (credentials, endpoints) = (Arc::new(self.auth()), Arc::new(self.hosts(None)));
        Remote::new(Settings { credentials, endpoints, ..Settings::default() }).unwrap()
    }

    /// Success, stdout and stderr of a command line of this person's.
    fn run(&self, line: &str) -> (bool, String, String) {
        let mut command = Command::new("timeout");
        let output = command
            .args(["60"])
            .args(line.split_whitespace())
            .envs(self.variables())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("REGISTRY_AUTH_FILE")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    fn ok(&self, line: &str) -> String {
        let (ok, stdout, stderr) = self.run(line);
        assert!(ok, "{line}\n{stdout}{stderr}");
        stdout
    }
}

fn podman(verb: &str) -> String {
    format!("podman --storage-driver vfs --cgroup-manager=cgroupfs {verb}")
}

fn ada() -> Credential {
    Credential::Password { user: USER.into(), password: PASSWORD.into() }
}

#[test]
fn a_login_by_skopeo_or_podman_is_ours_and_ours_theirs() {
    let registry = Registry::with(Options { htpasswd: true, ..Options::default() });
    let host = &registry.address;
    let person = Person::new();
    let auth = person.auth();
    let theirs = Place::File(person.path("run/containers/auth.json"));
    for tool in ["skopeo".to_owned(), podman("")] {
        person.ok(&format!("{tool} login --tls-verify=false -u {USER} -p {PASSWORD} {host}"));
        assert_eq!(auth.lookup(host, "web").unwrap(), Some((ada(), theirs.clone())), "{tool}");
        assert_eq!(auth.logout(host).unwrap(), std::slice::from_ref(&theirs));
        assert!(!person.run(&format!("{tool} login --get-login {host}")).0, "{tool} is logged out");

        assert_eq!(auth.login(host, &ada()).unwrap(), theirs);
        assert_eq!(person.ok(&format!("{tool} login --get-login {host}")).trim(), USER);
        // Without a password it tries the one in the file.
        person.ok(&format!("{tool} login --tls-verify=false {host}"));
        person.ok(&format!("{tool} logout {host}"));
        assert_eq!(auth.lookup(host, "web").unwrap(), None, "{tool}");
        // A namespace is a key of its own.
        let namespace = format!("{host}/team");
        auth.login(&namespace, &ada()).unwrap();
        assert_eq!(person.ok(&format!("{tool} login --get-login {namespace}")).trim(), USER);
        person.ok(&format!("{tool} logout {namespace}"));
        assert_eq!(auth.logout_all().unwrap(), [""; 0]);
    }
}

#[test]
fn what_a_login_opens_is_fetched() {
    let registry = Registry::with(Options { htpasswd: true, ..Options::default() });
    let person = Person::new();
    person.auth().login(&registry.address, &ada()).unwrap();
    let name = registry.name("team/web:v1");
    let image = "oci:testdata/web-v1.oci:v1";
    person.ok(&format!("skopeo copy -q --dest-tls-verify=false {image} docker://{name}"));
    let raw = person.ok(&format!("skopeo inspect --raw --tls-verify=false docker://{name}"));
    let fetch = || {
        let name = ImageName::parse(&name).unwrap();
        person.remote().repository(&name)?.manifest(&Reference::of(&name))
    };
    assert_eq!(fetch().unwrap().1, raw.as_bytes());
    person.auth().logout(&registry.address).unwrap();
    assert!(fetch().is_err(), "nobody is logged in");
}

#[test]
fn a_moved_registry_with_an_authority_of_its_own_is_found_by_skopeo_and_us() {
    let certificates = Certificates::make();
    let authority = certificates.read("ca.crt");
    let registry = Registry::with(Options { tls: Some(certificates), ..Options::default() });
    let person = Person::new();
    let host = &registry.address;
    let (dead, place) = ("127.0.0.1:9/gone", format!("{host}/kept/here"));
    person.write(
        ".config/containers/registries.conf",
        &format!(
            "[[registry]]\nprefix = 'images.example.com/team'\nlocation = '{place}'\n\
             [[registry.mirror]]\nlocation = '{dead}'\n"
        ),
    );
    let ca = format!(".config/containers/certs.d/{host}/ca.crt");
    person.write(&ca, &String::from_utf8(authority).unwrap());
    person.ok(&format!("skopeo copy -q oci:testdata/web-v1.oci:v1 docker://{place}/web:v1"));

    let name = ImageName::parse("images.example.com/team/web:v1").unwrap();
    let raw = person.ok(&format!("skopeo inspect --raw docker://{name}"));
    let fetch = || person.remote().repository(&name)?.manifest(&Reference::of(&name));
    assert_eq!(fetch().unwrap().1, raw.as_bytes());
    // With another authority in its place neither trusts it.
    person.write(&ca, &String::from_utf8(Certificates::make().read("ca.crt")).unwrap());
    assert!(!person.run(&format!("skopeo inspect --raw docker://{name}")).0);
    assert!(fetch().is_err());
}

#[test]
fn skopeo_tries_the_same_places_in_the_same_order() {
    let person = Person::new();
    // Nothing listens there, so that skopeo tries them all; it says each in its debug log.
    person.write(
        ".config/containers/registries.conf",
        r#"
        [[registry]]
        prefix = "a.example.com"
        location = "127.0.0.1:9/a"
        [[registry.mirror]]
        location = "127.0.0.1:9/mirror/one"
        [[registry.mirror]]
        location = "127.0.0.1:9/mirror/digests"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "127.0.0.1:9/mirror/tags"
        pull-from-mirror = "tag-only"
        "#,
    );
    person.write(
        ".config/containers/registries.conf.d/20-more.conf",
        r#"
        [[registry]]
        prefix = "a.example.com/ns/repo"
        location = "127.0.0.1:9/repo"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "127.0.0.1:9/mirror/repo"
        [[registry]]
        prefix = "*.sub.example.com"
        location = "127.0.0.1:9/sub"
        [[registry]]
        prefix = "docker.io/library"
        location = "127.0.0.1:9/official"
        [[registry]]
        prefix = "docker.io"
        location = "127.0.0.1:9/hub"
        [[registry]]
        location = "bad.example.com"
        blocked = true
        "#,
    );
    let hosts = person.hosts(None);
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for name in [
        "a.example.com/x:1".to_owned(),
        "a.example.com/ns/repo:1".to_owned(),
        format!("a.example.com/ns/repo@{digest}"),
        "a.example.com/ns/repository:1".to_owned(),
        "x.sub.example.com/y:1".to_owned(),
        "x.y.sub.example.com/z/y:1".to_owned(),
        "debian:12".to_owned(),
        "bitnami/nginx:1".to_owned(),
    ] {
        let (ok, _, log) = person.run(&format!("skopeo --debug inspect --raw docker://{name}"));
        assert!(!ok, "nothing listens");
        let tried =
            |line: &str| Some(line.split("Trying to access \\\"").nth(1)?.split("\\\"").next()?.to_owned());
        let theirs: Vec<String> = log.lines().filter_map(tried).collect();
        let parsed = ImageName::parse(&name).unwrap();
        let suffix = parsed.digest().map_or(format!(":{}", parsed.tag_or_default()), |it| format!("@{it}"));
        let sources = hosts.registries.sources(&parsed).unwrap();
        let ours = sources.iter().map(|at| format!("{}/{}{suffix}", at.host, at.repository));
        assert_eq!(ours.collect::<Vec<_>>(), theirs, "{name}\n{log}");
        assert!(!theirs.is_empty());
    }
    let (_, _, words) = person.run("skopeo inspect --raw docker://bad.example.com/x:1");
    assert!(words.contains("blocked"), "{words}");
    hosts.registries.sources(&ImageName::parse("bad.example.com/x:1").unwrap()).unwrap_err();
}
