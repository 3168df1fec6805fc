//! Debian's `docker-registry`, one process and one folder for each test: 2.8, without referrers.
//!
//! ```text
//! let registry = Registry::start();                            no password, plain HTTP
//! let registry = Registry::with(Options { htpasswd: true, ..Options::default() });
//! registry.push("web-v1.oci:v1", "web:v1");                    skopeo brings a fixture
//! ```

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;
use tempfile::TempDir;

/// Who may log in where a password is asked for.
pub const USER: &str = "ada";
pub const PASSWORD: &str = "l0velace:9";

#[derive(Default)]
pub struct Options {
    pub htpasswd: bool,
    /// The address of a token server, and the certificate of the key that it signs with.
    pub token: Option<(String, PathBuf)>,
    pub tls: Option<Certificates>,
}

pub struct Registry {
    /// `127.0.0.1:PORT`
    pub address: String,
    folder: TempDir,
    server: Child,
}

impl Registry {
    pub fn start() -> Registry {
        Registry::with(Options::default())
    }

    pub fn with(options: Options) -> Registry {
        let folder = TempDir::new().unwrap();
        // The port may be taken between our asking for a free one and the server's taking it.
        for _ in 0..5 {
            let port = free_port();
            let config = folder.path().join("config.yml");
            fs::write(&config, configuration(folder.path(), port, &options)).unwrap();
            let mut server = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(folder.path().join("log")).unwrap())
                .spawn()
                .expect("docker-registry is installed by tests/support/install.sh");
            if is_up(port, &mut server, &folder.path().join("log")) {
                return Registry { address: format!("127.0.0.1:{port}"), folder, server };
            }
        }
        panic!("docker-registry does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap());
    }

    /// `127.0.0.1:PORT/NAME`
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Has skopeo bring an image of `testdata/` here, bit for bit; returns its digest.
    pub fn push(&self, fixture: &str, name: &str) -> String {
        let to = format!("docker://{}", self.name(name));
        let from =
            format!("oci:{}", Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(fixture).display());
        let digest = self.folder.path().join("digest");
        let file = format!("--digestfile={}", digest.display());
        run(Command::new("skopeo").args(["copy", "-q", "--all", "--preserve-digests", &file]).args([
            "--dest-tls-verify=false",
            &from,
            &to,
        ]));
        fs::read_to_string(digest).unwrap().trim().to_owned()
    }

    /// The exact bytes of a manifest, as skopeo reads them.
    pub fn raw(&self, name: &str) -> Vec<u8> {
        let from = format!("docker://{}", self.name(name));
        run(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &from]))
    }

    /// What the registry keeps of a blob; `None` when it does not have it.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let path = format!("root/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        fs::read(self.folder.path().join(path)).ok()
    }

    /// What was asked so far: `HEAD /v2/web/manifests/v1`, in order.
    pub fn requests(&self) -> Vec<String> {
        let word = |line: &str, key: &str| {
            let rest = &line[line.find(key)? + key.len()..];
            Some(rest.split(' ').next().unwrap_or_default().trim_matches('"').to_string())
        };
        let log = self.log();
        let done = log.lines().filter(|line| line.contains("msg=\"response completed"));
        done.filter_map(|line| {
            Some(format!("{} {}", word(line, "http.request.method=")?, word(line, "http.request.uri=")?))
        })
        .collect()
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn configuration(folder: &Path, port: u16, options: &Options) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut yaml = format!(
        "version: 0.1\n\
         log: {{level: info, accesslog: {{disabled: true}}}}\n\
         storage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n  \
         maintenance: {{uploadpurging: {{enabled: false}}}}\n\
         http:\n  addr: 127.0.0.1:{port}\n  secret: not-so-secret\n",
        path("root")
    );
    if let Some(certificates) = &options.tls {
        let (certificate, key) = (certificates.path("server.crt"), certificates.path("server.key"));
        yaml += &format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
        if certificates.of_clients {
            yaml += &format!("    clientcas: [{}]\n", certificates.path("ca.crt").display());
        }
    }
    if options.htpasswd {
        let line = run(Command::new("htpasswd").args(["-nbB", "-C", "4", USER, PASSWORD]));
        fs::write(folder.join("htpasswd"), line).unwrap();
        yaml += &format!("auth:\n  htpasswd: {{realm: tests, path: {}}}\n", path("htpasswd"));
    }
    if let Some((realm, certificate)) = &options.token {
        yaml += &format!(
            "auth:\n  token: {{realm: '{realm}', service: tests, issuer: tests, rootcertbundle: {}}}\n",
            certificate.display()
        );
    }
    yaml
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until the server itself says that it listens: a port that answers may be somebody else's.
fn is_up(port: u16, server: &mut Child, log: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if fs::read_to_string(log).unwrap().contains(&format!("listening on 127.0.0.1:{port}")) {
            return true;
        }
        if server.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = server.kill();
    panic!("docker-registry does not listen on {port} within 60 s: {}", fs::read_to_string(log).unwrap());
}

/// A throw-away authority, `ca.crt`, with a server's and a client's certificate.
pub struct Certificates {
    folder: TempDir,
    of_clients: bool,
}

impl Certificates {
    pub fn make() -> Certificates {
        let folder = TempDir::new().unwrap();
        let script = "
            new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \"$@\"; }
            new -x509 -keyout ca.key -out ca.crt -days 2 -subj '/CN=throw-away authority'
            for who in server client; do
                new -keyout $who.key -out $who.csr -subj /CN=$who
                echo 'subjectAltName=IP:127.0.0.1' >$who.ext
                openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -sha256 \
                    -extfile $who.ext -out $who.crt
            done";
        run(Command::new("sh").current_dir(folder.path()).args(["-euc", script]));
        Certificates { folder, of_clients: false }
    }

    /// One certificate that is its own authority, as Docker's handbook makes them.
    pub fn make_self_signed() -> Certificates {
        let folder = TempDir::new().unwrap();
        run(Command::new("openssl").current_dir(folder.path()).args([
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-sha256",
            "-x509",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            "server.key",
            "-out",
            "server.crt",
        ]));
        Certificates { folder, of_clients: false }
    }

    /// The server that uses them asks its clients for theirs.
    pub fn asked_of_clients(self) -> Certificates {
        Certificates { of_clients: true, ..self }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

/// Runs a helper that must succeed; returns its stdout.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(err) if err.kind() == ErrorKind::NotFound => panic!("not installed: {command:?}"),
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
