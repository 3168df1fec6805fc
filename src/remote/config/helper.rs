//! Credential helpers: programs `docker-credential-NAME` that keep secrets in a keychain.
//!
//! The protocol of docker-credential-helpers: a verb as the argument, a server or a JSON object on
//! stdin, a JSON object or the words of an error on stdout. A helper is a stranger's program: its
//! answer is bounded, its time too, and its name is no path.

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use crate::remote::endpoint::Credential;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Tokens of cloud registries have 12 KiB; nobody has a megabyte.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// A helper may ask the person for the keychain's passphrase.
const PATIENCE: Duration = Duration::from_secs(120);
/// Stands for the user's name where the secret is an identity token.
const TOKEN_USER: &str = "<token>";
const NAME_BYTES_MAX: usize = 100;

/// A helper that is installed.
pub struct Helper {
    /// What follows `docker-credential-`.
    name: String,
    program: PathBuf,
    path: OsString,
    patience: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Answer {
    #[serde(rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

impl Helper {
    /// Looks the program up in `path`, as `$PATH` is written; `None` where no folder has it.
    pub fn find(name: &str, path: &OsStr) -> Result<Option<Helper>> {
        check_name(name)?;
        for folder in std::env::split_paths(path) {
            // What is in the current folder was not put there as a helper.
            if !folder.is_absolute() {
                continue;
            }
            let program = folder.join(format!("docker-credential-{name}"));
            let found = crate::fs::look(&program).ok().flatten();
            if found.is_some_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0) {
                let path = path.to_owned();
                return Ok(Some(Helper { name: name.to_owned(), program, path, patience: PATIENCE }));
            }
        }
        Ok(None)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the helper has for `server`; `None` where it has nothing.
    pub fn get(&self, server: &str) -> Result<Option<Credential>> {
        let Some(bytes) = self.ask("get", server.as_bytes())? else { return Ok(None) };
        let answer: Answer = serde_json::from_slice(&bytes)
            // The words of serde_json would show the secret.
            .map_err(|_| self.fault("get", "its answer is not the JSON object of a credential"))?;
        Ok(match (&answer.username[..], answer.secret) {
            ("", secret) if secret.is_empty() => None,
            (TOKEN_USER, secret) => Some(Credential::IdentityToken(secret)),
            (_, password) => Some(Credential::Password { user: answer.username, password }),
        })
    }

    pub fn store(&self, server: &str, credential: &Credential) -> Result<()> {
        let (username, secret) = match credential {
            Credential::Password { user, password } => (user.clone(), password.clone()),
            Credential::IdentityToken(token) => (TOKEN_USER.to_owned(), token.clone()),
        };
        let question = Answer { server: server.to_owned(), username, secret };
        let question = serde_json::to_vec(&question).expect("three texts fit into JSON");
        match self.ask("store", &question)? {
            Some(_) => Ok(()),
            None => Err(self.fault("store", "credentials not found")),
        }
    }

    /// `false` where the helper had nothing to forget.
    pub fn erase(&self, server: &str) -> Result<bool> {
        // Some helpers are content to erase what they never had, so only asking first can tell.
        let had = self.get(server)?.is_some();
        Ok(self.ask("erase", server.as_bytes())?.is_some() && had)
    }

    /// The servers that the helper has something for.
    pub fn list(&self) -> Result<Vec<String>> {
        let Some(bytes) = self.ask("list", b"")? else { return Ok(Vec::new()) };
        let users: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_slice(&bytes)
            .map_err(|_| self.fault("list", "its answer is not a JSON object of servers"))?;
        Ok(users.into_keys().collect())
    }

    /// What the helper writes, or `None` when it says that it has no such credential.
    fn ask(&self, verb: &'static str, question: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut child = Command::new(&self.program)
            .arg(verb)
            .env("PATH", &self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io("run", &self.program))?;
        let spoken = self.converse(&mut child, verb, question);
        if spoken.is_err() {
            // It may be gone already, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (succeeded, said, complaint) = spoken?;
        if succeeded {
            return Ok(Some(said));
        }
        // The helpers of Docker complain on stdout, others on stderr.
        let words = [said, complaint].into_iter().find(|words| !words.trim_ascii().is_empty());
        let words = shown(words.unwrap_or_else(|| b"no reason given".to_vec()).trim_ascii());
        if is_not_found(&words) {
            return Ok(None);
        }
        Err(self.fault(verb, &words))
    }

    /// Success, stdout and stderr of a helper that ended in time.
    fn converse(
        &self,
        child: &mut Child,
        verb: &'static str,
        question: &[u8],
    ) -> Result<(bool, Vec<u8>, Vec<u8>)> {
        let deadline = Instant::now() + self.patience;
        let late = || self.fault(verb, &format!("no answer in {} s", self.patience.as_secs_f32()));
        let said = listen(child.stdout.take().expect("stdout is a pipe"));
        let complaint = listen(child.stderr.take().expect("stderr is a pipe"));
        // In a thread of its own: a helper that does not read would hold us up.
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let question = question.to_vec();
        thread::spawn(move || stdin.write_all(&question));

        // Whoever the helper started may hold the pipes open; the threads then end with us.
        let hear = |from: mpsc::Receiver<io::Result<Vec<u8>>>| {
            let heard = from.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let bytes = heard.map_err(|_| late())?.map_err(Error::io("read from", &self.program))?;
            if bytes.len() as u64 > ANSWER_BYTES_MAX {
                return Err(Error::Limit {
                    thing: format!("the answer of docker-credential-{}", self.name),
                    limit: ANSWER_BYTES_MAX,
                    unit: "bytes",
                });
            }
            Ok(bytes)
        };
        let (said, complaint) = (hear(said)?, hear(complaint)?);
        loop {
            if let Some(status) = child.try_wait().map_err(Error::io("wait for", &self.program))? {
                return Ok((status.success(), said, complaint));
            }
            if Instant::now() >= deadline {
                return Err(late());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn fault(&self, verb: &str, problem: &str) -> Error {
        Error::invalid(format!("docker-credential-{} {verb}", self.name), problem)
    }
}

fn listen(from: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = from.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes);
        // Nobody listens any more when time ran out.
        let _ = sender.send(read.map(|_| bytes));
    });
    receiver
}

/// A name comes out of a file, and must not lead to a program elsewhere.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        let thing = format!("credential helper `{}`", shown(name.as_bytes()));
        return Err(Error::invalid(thing, "expected a name of letters, digits, `.`, `_` and `-`"));
    }
    Ok(())
}

/// docker-credential-helpers, credentials/error.go: the one answer all helpers share.
fn is_not_found(words: &str) -> bool {
    words.contains("credentials not found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::config::testing::World;

    fn helper(world: &World, script: &str) -> Helper {
        world.program("docker-credential-fake", script);
        let mut helper = Helper::find("fake", &world.environment().path).unwrap().unwrap();
        // Long enough for a busy machine to start a shell.
        helper.patience = Duration::from_secs(20);
        helper
    }

    fn password(user: &str, password: &str) -> Credential {
        Credential::Password { user: user.into(), password: password.into() }
    }

    #[test]
    fn a_helper_is_asked_and_answers() {
        let world = World::new();
        let keeps = helper(&world, "cat >$0.$1; case $1 in get) cat $0.store;; esac");
        keeps.store("a.io", &password("ada", "p:w")).unwrap();
        assert_eq!(keeps.get("a.io").unwrap(), Some(password("ada", "p:w")));
        assert_eq!(world.read("bin/docker-credential-fake.get"), b"a.io");
        keeps.store("a.io", &Credential::IdentityToken("t".into())).unwrap();
        assert_eq!(
            world.read("bin/docker-credential-fake.store"),
            br#"{"ServerURL":"a.io","Username":"<token>","Secret":"t"}"#
        );
        assert_eq!(keeps.get("a.io").unwrap(), Some(Credential::IdentityToken("t".into())));
        assert!(keeps.erase("a.io").unwrap());
        assert_eq!(world.read("bin/docker-credential-fake.erase"), b"a.io");
    }

    #[test]
    fn what_a_helper_does_not_have_is_no_error() {
        let world = World::new();
        let none = helper(&world, "echo credentials not found in native keychain; exit 1");
        assert_eq!(none.get("a.io").unwrap(), None);
        assert!(!none.erase("a.io").unwrap());
        let anonymous = helper(&world, r#"echo '{"Username":"","Secret":""}'"#);
        assert_eq!(anonymous.get("a.io").unwrap(), None);
    }

    #[test]
    fn a_helper_that_fails_is_named_and_shows_no_secret() {
        let world = World::new();
        for (script, expected) in [
            ("echo locked >&2; exit 1", "docker-credential-fake get: locked"),
            ("echo a; echo b >&2; exit 1", "docker-credential-fake get: a"),
            ("exit 1", "docker-credential-fake get: no reason given"),
            ("kill -9 $$", "docker-credential-fake get: no reason given"),
            (
                r#"echo '{"Secret": {"hush": 1}}'"#,
                "docker-credential-fake get: its answer is not the JSON object of a credential",
            ),
            ("echo hush", "docker-credential-fake get: its answer is not the JSON object of a credential"),
            (
                "head -c 2000000 /dev/zero",
                "the answer of docker-credential-fake is over the limit of 1048576 bytes",
            ),
            ("cat /dev/zero", "the answer of docker-credential-fake is over the limit of 1048576 bytes"),
        ] {
            assert_eq!(helper(&world, script).get("a.io").unwrap_err().to_string(), expected, "{script}");
        }
    }

    #[test]
    fn a_helper_that_hangs_is_ended() {
        let world = World::new();
        for script in ["sleep 60", "sleep 60 & exit 0", "exec >&- 2>&-; sleep 60"] {
            let mut hangs = helper(&world, script);
            hangs.patience = Duration::from_millis(300);
            let begin = Instant::now();
            let err = hangs.get("a.io").unwrap_err().to_string();
            assert_eq!(err, "docker-credential-fake get: no answer in 0.3 s", "{script}");
            assert!(begin.elapsed() < Duration::from_secs(30));
        }
    }

    #[test]
    fn a_name_is_no_path_and_must_be_there() {
        let world = World::new();
        let path = world.environment().path;
        for bad in ["", "../x", "a/b", "a b", "é", "a\0", &"a".repeat(101)] {
            assert!(matches!(Helper::find(bad, &path), Err(Error::Invalid { .. })), "{bad}");
        }
        assert!(Helper::find("missing", &path).unwrap().is_none());
        world.write("bin/docker-credential-plain", "not executable");
        assert!(Helper::find("plain", &path).unwrap().is_none());
    }
}
