#!/usr/bin/env python3
"""Writes a layer tar, entry by entry, as told on standard input.

    layer.py OUT.tar DATE < ENTRIES

One entry a line: KIND PATH [key=value]..., with %XX escapes, so that any byte may stand in a name.
Order, `./` prefixes and duplicates are kept as they are told: this exists for layers that the usual
tools would tidy up.

    dir   PATH [mode=] [uid=] [gid=]
    file  PATH [mode=] [uid=] [gid=] [text=]
    link  PATH to=TARGET           a hard link
    sym   PATH to=TARGET
    white PATH                     PATH's explicit whiteout
    white PATH opaque              an opaque whiteout in the directory PATH
"""

import datetime
import io
import posixpath
import sys
import tarfile
import urllib.parse


def text(escaped):
    """Undoes %XX; bytes that are not UTF-8 become surrogates, as os.fsdecode makes them."""
    return urllib.parse.unquote_to_bytes(escaped).decode("utf-8", "surrogateescape")


def entry(line, mtime):
    kind, path, *rest = line.split()
    options = dict(item.partition("=")[::2] for item in rest)
    info, data = tarfile.TarInfo(text(path)), b""
    info.mtime = mtime
    info.uid, info.gid = int(options.get("uid", 0)), int(options.get("gid", 0))
    info.mode = int(options.get("mode", "0755" if kind == "dir" else "0644"), 8)
    if kind == "dir":
        info.type = tarfile.DIRTYPE
    elif kind == "file":
        data = urllib.parse.unquote_to_bytes(options.get("text", ""))
    elif kind in ("link", "sym"):
        info.type = tarfile.LNKTYPE if kind == "link" else tarfile.SYMTYPE
        info.linkname = text(options["to"])
    elif kind == "white":
        parent, name = posixpath.split(info.name.rstrip("/"))
        info.name = f"{info.name}/.wh..wh..opq" if "opaque" in options else f"{parent}/.wh.{name}"
        info.mode = 0
    else:
        raise SystemExit(f"layer.py: no such kind of entry: {line}")
    info.size = len(data)
    return info, data


def main():
    out, date = sys.argv[1:]
    mtime = int(datetime.datetime.fromisoformat(date.replace("Z", "+00:00")).timestamp())
    # GNU format writes names as the bytes they are; PAX would have to call them UTF-8.
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for line in sys.stdin:
            if line.strip():
                info, data = entry(line, mtime)
                tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
