"""Compresses every file of the folder IN with zlib, as gzip, into OUT/zlib=LEVEL=NAME.

    zlib_gzip.py IN OUT LEVEL...

Says nothing and makes nothing where Python's zlib is another one than the original.
"""

import pathlib
import sys
import zlib

if "ng" not in zlib.ZLIB_RUNTIME_VERSION:
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for file in sorted(source.iterdir()):
        data = file.read_bytes()
        for level in sys.argv[3:]:
            encoder = zlib.compressobj(int(level), zlib.DEFLATED, 31)
            pieces = [encoder.compress(data[at : at + 10240]) for at in range(0, len(data), 10240)]
            (out / f"zlib={level}={file.name}").write_bytes(b"".join(pieces) + encoder.flush())
