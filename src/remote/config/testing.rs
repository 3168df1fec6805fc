//! A machine of its own for each test: `etc`, a home, a runtime folder and a folder of programs.

use crate::remote::config::environment::Environment;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

pub struct World {
    folder: TempDir,
}

impl World {
    pub fn new() -> World {
        let world = World { folder: crate::fs::temp_dir().unwrap() };
        for folder in ["etc", "home", "user", "bin"] {
            crate::fs::create_dir(&world.path(folder)).unwrap();
        }
        world
    }

    pub fn with(files: &[(&str, &str)]) -> World {
        let world = World::new();
        for (name, text) in files {
            world.write(name, text);
        }
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `$HOME` is `home`, `$XDG_RUNTIME_DIR` is `user`, `$PATH` is `bin`, and the root is the world.
    pub fn environment(&self) -> Environment {
        Environment::read(self.folder.path(), 1000, |name| match name {
            "HOME" => Some(self.path("home").into()),
            "XDG_RUNTIME_DIR" => Some(self.path("user").into()),
            "PATH" => Some(format!("{}:/usr/bin:/bin", self.path("bin").display()).into()),
            _ => None,
        })
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        crate::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::fs::write_atomic(&path, text.as_ref()).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        crate::fs::read_small(&self.path(name), 1 << 20).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// A shell script on the path.
    ///
    /// Written by a child: a file that this process has open for writing would be inherited by
    /// whatever another test starts at that moment, and could not be run.
    pub fn program(&self, name: &str, script: &str) {
        let mut child = Command::new("sh")
            .args(["-c", "cat >$0 && chmod +x $0"])
            .arg(self.path("bin").join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        write!(child.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// An error's heading and causes, with the world's own folder as `W`.
    pub fn words(&self, err: &crate::error::Error) -> String {
        let mut words = err.to_string();
        let mut cause = std::error::Error::source(err);
        while let Some(err) = cause {
            words.push_str(&format!(": {err}"));
            cause = err.source();
        }
        words.replace(&self.folder.path().display().to_string(), "W")
    }

    pub fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        crate::fs::metadata(&self.path(name)).unwrap().permissions().mode() & 0o777
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }
}
