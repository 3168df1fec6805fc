//! A folder with one of everything, and contents in memory: what the tests of this module share.

use crate::content::ContentSink;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::fs::scan::ScanOptions;
use crate::fs::scan::scan;
use crate::id::ContentId;
use crate::progress::Silent;
use crate::tree::Tree;
use crate::tree::memory::MemoryNodes;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

#[derive(Default)]
pub struct MemoryContents(pub HashMap<ContentId, Vec<u8>>);

impl ContentSink for MemoryContents {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        let mut bytes = Vec::new();
        from.take(size).read_to_end(&mut bytes).map_err(|err| crate::error::from_stream("content", err))?;
        assert_eq!(bytes.len() as u64, size);
        let id = ContentId::of(&bytes);
        self.0.insert(id, bytes);
        Ok(id)
    }
}

impl ContentSource for MemoryContents {
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
        let bytes = self.0.get(id).ok_or_else(|| Error::not_found("content", id.to_string()))?;
        Ok(Box::new(&bytes[offset as usize..(offset + len) as usize]))
    }
}

/// A tree with all it takes to write it out again.
pub struct Kept {
    pub tree: Tree,
    pub nodes: MemoryNodes,
    pub contents: MemoryContents,
}

pub fn keep(folder: &Path) -> Kept {
    let (mut nodes, mut contents) = (MemoryNodes::new(), MemoryContents::default());
    let tree = scan(folder, &mut contents, &mut nodes, &ScanOptions::default(), &Silent).unwrap();
    Kept { tree, nodes, contents }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says whether the test runs as an ordinary user. As root, runs it again as one and says no.
#[track_caller]
pub fn as_user(test: &str) -> bool {
    if !is_root() {
        return true;
    }
    // The build's own folder may be closed to others.
    let folder = crate::fs::temp_dir().unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), folder.path().join("tests")).unwrap();
    let user = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all";
    let run = format!("{user} ./tests --exact {test} 2>&1 || true");
    let said = sh(folder.path(), &format!("chmod 0755 . tests; {run}"));
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// Runs a shell script in the folder.
#[track_caller]
pub fn sh(folder: &Path, script: &str) -> String {
    let run = Command::new("bash").args(["-euc", script]).current_dir(folder).output().unwrap();
    assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

pub fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
    found.status.success()
}

pub fn named(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(OsStr::from_bytes(name))
}

/// What any user can make.
pub fn plant_plain(folder: &Path) {
    sh(
        folder,
        r#"
        umask 022
        mkdir -p a/b empty 'sp ace' sticky && chmod 1777 sticky && chmod 0500 empty
        echo hello > a/b/file; echo -n > a/b/none; echo in > a/x; echo between > a-b
        ln a/x a-link; ln a/x a/b/zz; ln -s ../../nowhere a/dangling; ln -s a/b/file short
        ln -s / root-link; ln -s . self
        printf '#!/bin/sh\n' > tool && chmod 4755 tool; printf x > group && chmod 2755 group
        chmod 4644 a-b
        mkfifo -m 0622 pipe
        truncate -s 3M holes && printf end >> holes && printf mid | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
        truncate -s 70000 all-hole
        touch -d '1965-03-04 05:06:07.123456789Z' old a/b; touch -d '2045-12-31 23:59:59.000000001Z' future
        touch -h -d '1999-01-01 00:00:00.5Z' short
        echo unreadable > zero && chmod 000 zero && chmod 0400 a/x
        "#,
    );
    for name in
        [&b"not\xff\xfeutf8"[..], "größe".as_bytes(), b"new\nline", b"-dash", b"back\\slash", &[b'n'; 255]]
    {
        std::fs::write(named(folder, name), name).unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("socket"),
        rustix::fs::FileType::Socket,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    let xattr = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(folder.join("tool"), "user.note", b"a\0b=\n", xattr).unwrap();
    rustix::fs::lsetxattr(folder.join("sp ace"), "user.empty", b"", xattr).unwrap();
    // Times of directories last: making entries moved them.
    sh(
        folder,
        "touch -d '1965-03-04 05:06:07.123456789Z' a/b; touch -d '2001-01-01 01:01:01.25Z' .; chmod 0751 .",
    );
}

/// A path longer than any that a system call takes.
pub fn plant_deep(folder: &Path) {
    let mut dir = rustix::fs::open(folder, crate::fs::chain::OPEN_DIR, rustix::fs::Mode::empty()).unwrap();
    for level in 0..40 {
        let name = vec![b'd'; 200 - level];
        rustix::fs::mkdirat(&dir, &name[..], rustix::fs::Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, &name[..], crate::fs::chain::OPEN_DIR, rustix::fs::Mode::empty())
            .unwrap();
    }
    rustix::fs::mknodat(&dir, "deep", rustix::fs::FileType::RegularFile, rustix::fs::Mode::RUSR, 0).unwrap();
    sh(folder, "touch -d '2001-01-01 01:01:01.25Z' .");
}

/// What only root can make.
pub fn plant_privileged(folder: &Path) {
    sh(
        folder,
        r#"
        mknod null c 1 3; mknod -m 0660 disk b 259 1048575; chown 0:6 disk
        chown 1000:1001 a/b/file; chown -h 5:6 short; chown 4000000000:3000000000 a/b; chown 33:33 tool; chmod 4755 tool
        mkdir drop && chown 65534:65534 drop && chmod 2770 drop
        echo cap > ping && chmod 755 ping
        "#,
    );
    let xattr = rustix::fs::XattrFlags::empty();
    let caps = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    rustix::fs::lsetxattr(folder.join("ping"), "security.capability", caps, xattr).unwrap();
    rustix::fs::lsetxattr(folder.join("a/b"), "trusted.overlay.opaque", b"y", xattr).unwrap();
    rustix::fs::lsetxattr(folder.join("short"), "trusted.on-a-link", b"1", xattr).unwrap();
    // user::rw-, user:1000:r--, group::r--, mask::rw-, other::---
    let acl = |tags: &[(u16, u16, u32)]| {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, perm, id) in tags {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(perm.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    };
    let none = u32::MAX;
    let access = acl(&[(1, 6, none), (2, 4, 1000), (4, 4, none), (16, 6, none), (32, 0, none)]);
    rustix::fs::lsetxattr(folder.join("group"), "system.posix_acl_access", &access, xattr).unwrap();
    rustix::fs::lsetxattr(folder.join("drop"), "system.posix_acl_default", &access, xattr).unwrap();
}
