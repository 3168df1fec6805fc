#!/usr/bin/env python3
"""Lists a directory tree entry by entry: the common tongue for comparing what two engines unpacked.

    listing.py ROOT [--no-times]

One line an entry, sorted by path bytes, fields separated by one space:

    PATH KIND MODE UID:GID MTIME SIZE DETAIL XATTRS

PATH is relative, `.` for the root, with every byte outside printable ASCII, space and % as %XX.
KIND is dir file sym fifo chr blk. MODE is octal with setuid, setgid and sticky. MTIME is seconds with
nine decimals. SIZE is the bytes of a file, else `-`. DETAIL is a file's sha256, a link's target, a device's
major:minor, else `-`; the second and later names of a hard-linked file say `=FIRST-NAME` instead of a
hash. XATTRS is `-` or name=hex,... sorted by name, trusted.* and system.* left out except for ACLs.
"""

import hashlib
import os
import stat
import sys

KINDS = {
    stat.S_IFDIR: "dir",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "sym",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "chr",
    stat.S_IFBLK: "blk",
}
PLAIN = frozenset(range(0x21, 0x7F)) - {ord("%")}


def escape(name):
    return "".join(chr(b) if b in PLAIN else f"%{b:02X}" for b in name) or "-"


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def xattrs(path):
    kept = []
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(("user.", "security.", "system.posix_acl_")):
            kept.append((os.fsencode(name), os.getxattr(path, name, follow_symlinks=False)))
    return ",".join(f"{escape(name)}={value.hex()}" for name, value in sorted(kept)) or "-"


def entries(root):
    """All paths under root, as bytes, sorted as one list: so `a-b` stands before `a/b`."""
    found = [b"."]
    pending = [b""]
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(root, folder)) as children:
            for child in children:
                path = os.path.join(folder, child.name)
                found.append(path)
                if child.is_dir(follow_symlinks=False):
                    pending.append(path)
    return sorted(found)


def main():
    root = os.fsencode(sys.argv[1])
    with_times = "--no-times" not in sys.argv[2:]
    first_names = {}
    for path in entries(root):
        full = os.path.join(root, path)
        st = os.lstat(full)
        kind = KINDS[stat.S_IFMT(st.st_mode)]
        size, detail = "-", "-"
        if kind == "file":
            size = st.st_size
            inode = (st.st_dev, st.st_ino)
            detail = f"={escape(first_names[inode])}" if inode in first_names else sha256(full)
            first_names.setdefault(inode, path)
        elif kind == "sym":
            detail = escape(os.readlink(full))
        elif kind in ("chr", "blk"):
            detail = f"{os.major(st.st_rdev)}:{os.minor(st.st_rdev)}"
        seconds, nanoseconds = divmod(st.st_mtime_ns, 10**9)
        mtime = f"{seconds}.{nanoseconds:09}" if with_times else "-"
        mode = f"{stat.S_IMODE(st.st_mode):04o}"
        print(escape(path), kind, mode, f"{st.st_uid}:{st.st_gid}", mtime, size, detail, xattrs(full))


if __name__ == "__main__":
    main()
