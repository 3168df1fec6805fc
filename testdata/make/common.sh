# Sourced by the makers of fixtures: one place for paths, times and the few helpers they share.
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022

make_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
testdata=$(dirname "$make_dir")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/imgit-testdata.XXXXXX")
trap 'chmod -R u+rwX "$work" 2>/dev/null || true; rm -rf "$work"' EXIT

[ "$(id -u)" = 0 ] || { echo "$0: needs root, for owners and device nodes" >&2; exit 1; }

# Every engine keeps its state under $work, needs no daemon, no overlayfs and no systemd.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
buildah() { command buildah --log-level error --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"; }
podman() {
    command podman --log-level error --root "$work/storage" --runroot "$work/run" --storage-driver vfs \
        --cgroup-manager=cgroupfs --runtime=/usr/sbin/runc "$@"
}

# Gives everything that this run has touched in a tree one fixed time: settle ROOT DATE.
# What was given an older time on purpose keeps it.
run_started=$work/.started
touch -d '1 hour ago' "$run_started"
settle() { find "$1" -newer "$run_started" -exec touch -h -d "$2" {} +; }

# A file of BYTES bytes that look random and are the same everywhere: noise SEED BYTES > FILE.
noise() {
    python3 - "$1" "$2" <<'PY'
import hashlib, sys
seed, size = sys.argv[1].encode(), int(sys.argv[2])
out, n = b"", 0
while len(out) < size:
    out += hashlib.sha256(seed + b"/%d" % n).digest()
    n += 1
sys.stdout.buffer.write(out[:size])
PY
}

# Unpacks a Debian package without installing it: unpack_deb PACKAGE INTO.
unpack_deb() {
    mkdir -p "$work/debs" "$2"
    (cd "$work/debs" && apt-get -q download "$1" >/dev/null 2>&1) || { echo "cannot download $1" >&2; return 1; }
    dpkg-deb -x "$work/debs/$1"_*.deb "$2"
}

# Puts a finished fixture in its place, the old one away: install_fixture FROM NAME.
install_fixture() {
    rm -rf "${testdata:?}/$2"
    cp -r --no-preserve=ownership "$1" "$testdata/$2"
    chmod -R u=rwX,go=rX "$testdata/$2"
}
