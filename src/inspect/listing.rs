//! An entry as a JSON object, the same in every verb that lists files.

use crate::path::TreePath;
use crate::path::shown;
use crate::tree::Entry;
use crate::tree::Kind;
use serde_json::Value;
use serde_json::json;

/// `path` is absolute; bytes that are not UTF-8 show as `\xNN`, and then `path_hex` has them all.
pub fn entry_json(path: &TreePath, entry: &Entry) -> Value {
    let mut value = json!({
        "path": path.to_string(),
        "type": kind_word(&entry.kind),
        "mode": format!("{:04o}", entry.attr.mode),
        "uid": entry.attr.uid,
        "gid": entry.attr.gid,
        "mtime": entry.attr.mtime.secs,
        "mtime_nanos": entry.attr.mtime.nanos,
    });
    let map = value.as_object_mut().expect("json! made an object");
    if std::str::from_utf8(path.as_bytes()).is_err() {
        map.insert("path_hex".into(), crate::id::hex(path.as_bytes()).into());
    }
    match &entry.kind {
        Kind::File { content, size } => {
            map.insert("size".into(), (*size).into());
            map.insert("sha256".into(), content.to_string().into());
        }
        Kind::Symlink(target) => {
            map.insert("target".into(), shown(target).into());
        }
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            map.insert("device".into(), json!([major, minor]));
        }
        Kind::Dir(_) | Kind::Fifo | Kind::Socket => {}
    }
    if !entry.attr.xattrs.is_empty() {
        let pairs =
            entry.attr.xattrs.iter().map(|(name, bytes)| (shown(name), Value::from(crate::id::hex(bytes))));
        map.insert("xattrs_hex".into(), Value::Object(pairs.collect()));
    }
    value
}

pub fn kind_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::File { .. } => "file",
        Kind::Dir(_) => "directory",
        Kind::Symlink(_) => "symlink",
        Kind::CharDevice { .. } => "character device",
        Kind::BlockDevice { .. } => "block device",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}
