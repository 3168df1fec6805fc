#!/usr/bin/env python3
"""Makes a directory of many files for the benches, in a first or a changed second version.

    files.py FOLDER COUNT CHANGES VERSION        VERSION is 1 or 2

Version 2 has CHANGES differences: three quarters are files with one line changed, one eighth are
added and one eighth removed. Sizes follow what a Debian system has: most files under 4 KiB, a few of
hundreds of KiB. The same arguments give the same bytes and times everywhere.
"""

import os
import pathlib
import random
import sys

START = 1767225600  # 2026-01-01, the time of every file of version 1
LATER = START + 60 * 86400


def words(rng, n_bytes):
    """Text that compresses about as well as source code does."""
    out, size = [], 0
    while size < n_bytes:
        indent = "    " * rng.randrange(4)
        line = indent + " ".join(rng.choice(VOCABULARY) for _ in range(rng.randrange(3, 11)))
        out.append(line)
        size += len(line) + 1
    return out


VOCABULARY = [
    "".join(random.Random(n).choice("etaoinshrdlucmfwypvbgkjqxz_") for _ in range(2 + n % 9)) for n in range(3000)
]


def main():
    folder, count, changes, version = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:5])
    chooser = random.Random("changes")
    picked = chooser.sample(range(count), changes)
    n_each = changes // 8
    removed, added, changed = set(picked[:n_each]), range(count, count + n_each), set(picked[n_each : changes - n_each])
    for n in [*range(count), *(added if version == 2 else [])]:
        if version == 2 and n in removed:
            continue
        rng = random.Random(f"file {n}")
        lines = words(rng, min(int(rng.lognormvariate(7.5, 1.6)), 600_000))
        is_new = version == 2 and (n in changed or n >= count)
        if version == 2 and n in changed:
            lines.insert(len(lines) // 2, "changed in version 2")
        path = folder / f"d{n % 20:02}" / f"sub{n // 20 % 25:02}" / f"file{n:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        os.utime(path, (LATER if is_new else START,) * 2)
    for parent, _, _ in os.walk(folder, topdown=False):
        os.utime(parent, (START, START))


if __name__ == "__main__":
    main()
