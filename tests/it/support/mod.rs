//! A private world for each test: a folder with a store in it, a clock that stands still, an author.
//!
//! Everything runs in that folder, where `testdata` leads to the fixtures: so command lines, and what
//! they print, hold no path of this machine, and commit ids are the same everywhere.

pub mod http;
pub mod layout;
pub mod registry;
pub mod token;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use tempfile::TempDir;

pub const IMGIT: &str = env!("CARGO_BIN_EXE_imgit");
/// 2026-01-01 00:00:00 UTC.
pub const DAWN: i64 = 1_767_225_600;
pub const DAY: i64 = 86_400;
/// No run may take longer: a hang is a failure, not a wait. The longest read disks of GB in the appliance.
const SECONDS_MAX: &str = "600";

pub struct World {
    home: TempDir,
    clock: Cell<i64>,
}

/// How a run ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn new() -> World {
        let home = TempDir::new().unwrap();
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"), home.path().join("testdata"))
            .unwrap();
        World { home, clock: Cell::new(DAWN) }
    }

    /// `web:latest` with two versions, a day apart: v1 and then v2.
    pub fn with_web() -> World {
        let world = World::new();
        world.ok("import -q oci:testdata/web-v1.oci:v1 web");
        world.at(DAWN + DAY);
        world.ok("import -q docker-archive:testdata/web-v2.docker.tar web");
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Sets the clock of the runs to come, in seconds since 1970.
    pub fn at(&self, seconds: i64) {
        self.clock.set(seconds);
    }

    /// The binary in this world, for a test that needs more than [`World::run`].
    pub fn command(&self) -> Command {
        self.in_here(IMGIT)
    }

    pub fn in_here(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .env("IMGIT_STORE", self.path("store"))
            .env("IMGIT_AUTHOR", "Ada <ada@example.com>")
            .env("IMGIT_DATE", self.clock.get().to_string())
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .env("XDG_DATA_HOME", self.path("home"))
            // Nobody's logins and registries but this world's.
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env_remove("DOCKER_CONFIG")
            .env_remove("REGISTRY_AUTH_FILE")
            .env("IMGIT", IMGIT)
            .stdin(Stdio::null());
        command
    }

    /// Runs `imgit` with the words of `line`.
    pub fn run(&self, line: &str) -> Outcome {
        let mut command = self.in_here("timeout");
        command.args(["-k", "5", SECONDS_MAX, IMGIT]).args(line.split_whitespace());
        let outcome = Outcome::of(command.output().unwrap());
        assert_ne!(outcome.code, 124, "`imgit {line}` hangs");
        assert!(!outcome.stderr.contains("panicked"), "`imgit {line}` panics: {}", outcome.stderr);
        outcome
    }

    /// What a run that must succeed prints on stdout.
    pub fn ok(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!(outcome.code, 0, "`imgit {line}`: {outcome}");
        outcome.stdout
    }

    /// What a run that must end with `code` says on stderr.
    pub fn fails(&self, code: i32, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!(outcome.code, code, "`imgit {line}`: {outcome}");
        outcome.stderr
    }

    /// Runs a shell script that must succeed; returns its stdout. `$IMGIT` is the binary.
    pub fn sh(&self, script: &str) -> Vec<u8> {
        let mut command = self.in_here("timeout");
        let output = command.args(["-k", "5", SECONDS_MAX, "sh", "-euc", script]).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn sh_text(&self, script: &str) -> String {
        String::from_utf8(self.sh(script)).unwrap().trim_end().to_string()
    }

    /// Runs podman with storage of its own inside this world.
    pub fn podman(&self, line: &str) -> String {
        self.sh_text(&format!(
            "podman --storage-driver vfs --cgroup-manager=cgroupfs --root $PWD/podman/root \
             --runroot $PWD/podman/run --log-level error {line}"
        ))
    }

    /// A folder entry by entry, in the words of `tests/support/listing.py`.
    pub fn listing(&self, folder: &str) -> Vec<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/listing.py");
        self.sh_text(&format!("python3 {} {folder}", script.display())).lines().map(String::from).collect()
    }

    /// The whole store is read and nothing is wrong with it, and nothing is left lying about.
    pub fn assert_sound(&self) {
        let outcome = self.run("fsck --read-data");
        assert_eq!(outcome.code, 0, "fsck: {outcome}");
        assert_eq!(self.leftovers(), Vec::<String>::new(), "left in the store's tmp/");
    }

    /// Files in the store's `tmp/`.
    pub fn leftovers(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.path("store/tmp")) else { return Vec::new() };
        files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// All that the reading verbs say: two stores that say the same hold the same.
    pub fn everything_said(&self) -> String {
        let mut said = String::new();
        for line in ["catalog --json", "branch --json", "tag --json", "log --json", "log --graph"] {
            said.push_str(&format!("$ {line}\n{}", self.ok(line)));
        }
        said
    }
}

impl Outcome {
    pub fn of(output: Output) -> Outcome {
        Outcome {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap()),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "[exit {}]\n{}{}", self.code, self.stdout, self.stderr)
    }
}

/// Lines that are in one of the two lists only, `-` for the first and `+` for the second.
pub fn difference(one: &[String], other: &[String]) -> Vec<String> {
    let missing = |sign: char, from: &[String], in_: &[String]| {
        let lines = from.iter().filter(|line| !in_.contains(line));
        lines.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    [missing('-', one, other), missing('+', other, one)].concat()
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
