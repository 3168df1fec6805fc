//! Who we are: Basic, Bearer, anonymous, refused.

use super::*;
use crate::support::http::Server;
use crate::support::registry::Options;
use crate::support::registry::PASSWORD;
use crate::support::registry::USER;
use crate::support::token::Guarded;
use crate::support::token::IDENTITY;
use imgit::remote::endpoint::Credential;
use imgit::remote::endpoint::Credentials;
use std::sync::Arc;
use std::sync::Mutex;

/// One credential for everything; remembers what it was asked for.
struct Purse(Credential, Mutex<Vec<String>>);

impl Purse {
    fn new(credential: Credential) -> Arc<Purse> {
        Arc::new(Purse(credential, Mutex::default()))
    }
}

impl Credentials for Purse {
    fn find(&self, host: &str, repository: &str) -> Result<Option<Credential>> {
        self.1.lock().unwrap().push(format!("{host}/{repository}"));
        Ok(Some(self.0.clone()))
    }
}

fn password(password: &str) -> Credential {
    Credential::Password { user: USER.into(), password: password.into() }
}

fn logged_in(credential: Credential) -> Settings {
    Settings { credentials: Purse::new(credential), ..quick() }
}

fn assert_denied<T: std::fmt::Debug>(outcome: Result<T>, words: &str) {
    let err = outcome.unwrap_err();
    assert!(matches!(err.root(), Error::Denied { .. }), "{err:?}");
    assert!(err.root().to_string().contains(words), "{err:?}");
    assert!(!format!("{err:?}").contains(PASSWORD), "{err:?}");
}

#[test]
fn a_password_opens_what_is_closed() {
    let registry = Registry::with(Options { htpasswd: true, ..Options::default() });
    let bytes = noise(1, 1 << 20);
    let blob = Descriptor::of(OCTETS, &bytes);
    let sink = sink(logged_in(password(PASSWORD)), &registry.name("closed/web"), &[]);
    sink.put_blob(&blob, &mut &bytes[..]).unwrap();

    let ours = repository(logged_in(password(PASSWORD)), &registry.name("closed/web"));
    assert!(ours.has_blob(&blob).unwrap());
    for settings in [quick(), logged_in(password("wrong")), logged_in(Credential::IdentityToken("x".into()))]
    {
        let other = repository(settings, &registry.name("closed/web"));
        assert_denied(other.manifest(&tag("v1")), "UNAUTHORIZED: authentication required");
        // The answer to a HEAD has no words.
        assert_denied(other.has_blob(&blob), "access to blob");
    }
}

#[test]
fn a_credential_is_looked_up_once_and_only_when_asked_for() {
    let closed = Registry::with(Options { htpasswd: true, ..Options::default() });
    let open = Registry::start();
    let purse = Purse::new(password(PASSWORD));
    let remote = Remote::new(Settings { credentials: purse.clone(), ..quick() }).unwrap();
    for name in [open.name("a"), closed.name("b"), closed.name("b"), closed.name("c")] {
        let repository = remote.repository(&ImageName::parse(&name).unwrap()).unwrap();
        assert_eq!(repository.head(&tag("v1")).unwrap(), None);
    }
    assert_eq!(*purse.1.lock().unwrap(), [closed.name("b"), closed.name("c")]);
}

#[test]
fn login_tells_right_from_wrong() {
    let remote = Remote::new(quick()).unwrap();
    let basic = Registry::with(Options { htpasswd: true, ..Options::default() });
    remote.login(&basic.address, &password(PASSWORD)).unwrap();
    assert_denied(remote.login(&basic.address, &password("wrong")), "authentication required");
    // What was typed is not kept.
    let closed = remote.repository(&ImageName::parse(&basic.name("a")).unwrap()).unwrap();
    assert_denied(closed.manifest(&tag("v1")), "authentication required");

    let bearer = Guarded::start();
    remote.login(&bearer.registry.address, &password(PASSWORD)).unwrap();
    remote.login(&bearer.registry.address, &Credential::IdentityToken(IDENTITY.into())).unwrap();
    let wrong = remote.login(&bearer.registry.address, &password("wrong"));
    assert_denied(wrong, "incorrect username or password");

    remote.login(&Registry::start().address, &password("whatever")).unwrap();
    let other = Server::start(|_, reply| reply.send("404 Not Found", &[], b"no registry"));
    let err = remote.login(&other.address, &password(PASSWORD)).unwrap_err();
    assert_eq!(err.to_string(), format!("registry {} not found", other.address));
}

#[test]
fn tokens_open_what_they_are_for() {
    let guarded = Guarded::start();
    let registry = &guarded.registry;
    for credential in [password(PASSWORD), Credential::IdentityToken(IDENTITY.into())] {
        let bytes = noise(2, 2 << 20);
        let blob = Descriptor::of(OCTETS, &bytes);
        let name = registry.name(if credential == password(PASSWORD) { "closed/a" } else { "closed/b" });
        sink(logged_in(credential.clone()), &name, &[]).put_blob(&blob, &mut &bytes[..]).unwrap();
        assert!(repository(logged_in(credential), &name).has_blob(&blob).unwrap());
        assert_denied(repository(quick(), &name).has_blob(&blob), "access to blob");
    }
    let wrong = repository(logged_in(password("wrong")), &registry.name("closed/a"));
    assert_denied(wrong.head(&tag("v1")), "incorrect username or password");

    // Nobody in particular may read what is public, and no more than read.
    let web = noise(3, 1000);
    let blob = Descriptor::of(OCTETS, &web);
    sink(logged_in(password(PASSWORD)), &registry.name("public/a"), &[])
        .put_blob(&blob, &mut &web[..])
        .unwrap();
    let public = repository(quick(), &registry.name("public/a"));
    assert!(public.has_blob(&blob).unwrap());
    let other = Descriptor::of(OCTETS, b"other");
    let sink = sink(quick(), &registry.name("public/a"), &[]);
    assert_denied(sink.put_blob(&other, &mut &b"other"[..]), "UNAUTHORIZED");

    assert_denied(Remote::new(quick()).unwrap().repositories(&registry.address), "UNAUTHORIZED");
    let known = Remote::new(logged_in(password(PASSWORD))).unwrap().repositories(&registry.address);
    assert_eq!(known.unwrap(), ["closed/a", "closed/b", "public/a"]);
}

#[test]
fn a_mount_asks_for_both_repositories_at_once() {
    let guarded = Guarded::start();
    let bytes = noise(4, 1000);
    let blob = Descriptor::of(OCTETS, &bytes);
    let name = |name: &str| guarded.registry.name(name);
    let settings = logged_in(password(PASSWORD));
    sink(settings.clone(), &name("closed/base"), &[]).put_blob(&blob, &mut &bytes[..]).unwrap();
    let options = SinkOptions { tags: Tags::These(Vec::new()), mount_from: vec!["closed/base".into()] };
    let sink = repository(settings, &name("closed/web")).sink(options).unwrap();
    assert!(sink.has_blob(&blob).unwrap());
    let both = "scope=repository%3Aclosed%2Fbase%3Apull&scope=repository%3Aclosed%2Fweb%3Apull%2Cpush";
    let lines = guarded.tokens.lines();
    assert!(lines.iter().any(|line| line.contains(both)), "{lines:#?}");
}

#[test]
fn many_who_wait_for_a_token_get_the_same() {
    let guarded = Guarded::start();
    let settings = logged_in(password(PASSWORD));
    let web = repository(settings, &guarded.registry.name("closed/web"));
    std::thread::scope(|scope| {
        for n in 0..16 {
            let web = &web;
            scope.spawn(move || assert_eq!(web.head(&tag(&format!("v{n}"))).unwrap(), None));
        }
    });
    assert_eq!(guarded.tokens.requests().len(), 1);
}

/// The registry allows a minute of leeway: a token that expired 59 s ago is good for a second.
#[test]
fn a_token_that_expires_in_the_middle_is_replaced() {
    let guarded = Guarded::with_life(|n| if n == 0 { -58 } else { 300 });
    let settings = logged_in(password(PASSWORD));
    let sink = sink(settings.clone(), &guarded.registry.name("closed/web"), &[]);
    let web = repository(settings, &guarded.registry.name("closed/web"));
    let blob = |n: u64| Descriptor::of(OCTETS, &noise(n, 1000));
    sink.put_blob(&blob(1), &mut &noise(1, 1000)[..]).unwrap();
    assert_eq!(guarded.tokens.requests().len(), 1);
    std::thread::sleep(Duration::from_millis(3200));
    sink.put_blob(&blob(2), &mut &noise(2, 1000)[..]).unwrap();
    assert!(web.has_blob(&blob(1)).unwrap() && web.has_blob(&blob(2)).unwrap());
    assert_eq!(guarded.tokens.requests().len(), 3, "push, push again, pull");
}

#[test]
fn a_password_is_not_told_to_a_token_server_over_plain_http() {
    for (realm, words) in [
        ("http://token.example.com/", "over plain HTTP"),
        ("ftp://token.example.com/", "is not an address of HTTP"),
        ("https://[", "token server `https://[`"),
    ] {
        let registry = Server::start(move |_, reply| {
            let challenge = format!(r#"Bearer realm="{realm}",service="x""#);
            reply.send("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"");
        });
        let web = repository(logged_in(password(PASSWORD)), &registry.name("web"));
        let err = web.head(&tag("v1")).unwrap_err();
        assert!(err.to_string().contains(words), "{err}");
        // Nor is it said to anybody who has not asked.
        assert_eq!(registry.requests()[0].header("authorization"), None);
    }
}
