#!/bin/sh
# The main job on two real images, in a temporary store: in, versions, diff, search, and the same image out.
#
# IMGIT names a binary to use instead of building one.
set -eu
cd "$(dirname "$0")/.."

if [ -z "${IMGIT:-}" ]; then
    tests/support/install.sh build
    echo "Building imgit; the first time takes some minutes."
    cargo build --release --quiet
    IMGIT=$PWD/target/release/imgit
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/imgit-demo.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export IMGIT_STORE="$scratch/store"

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold= plain=; fi
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# Shows a command as one would type it, then runs it; both outputs in one, in their order.
run() {
    printf '%s$ imgit %s%s\n' "$bold" "$*" "$plain"
    "$IMGIT" "$@" 2>&1
}

# The digest of the one manifest in an OCI layout, by other means than imgit's.
digest() { grep -o 'sha256:[0-9a-f]*' "$1/index.json"; }

say "Two versions of an image go in, from an OCI layout and from a docker-archive."
run import oci:testdata/web-v1.oci:v1 web
run tag web:v1
run import docker-archive:testdata/web-v2.docker.tar web
run tag web:v2

say "What is there, and how it came to be."
run catalog
run log web

say "What changed, in files, in one file's lines, and in the config."
run diff web:v1 web:v2 /etc /home /opt /usr /var
run diff -p web:v1 web:v2 /etc/web/web.conf
run diff --config web:v1 web:v2 /bin

say "One file of one version, and every version that has a file."
run cat web:v2 /etc/web/web.conf
run whereis logo.bin

say "The first version comes out again."
run export web:v1 "oci:$scratch/out.oci:v1"
came_in=$(digest testdata/web-v1.oci)
went_out=$(digest "$scratch/out.oci")
printf '\nmanifest in:  %s\nmanifest out: %s\n' "$came_in" "$went_out"
[ "$came_in" = "$went_out" ] || { echo "The digests differ." >&2; exit 1; }

# A manifest names config and layers by digest, so equal files are an equal image.
for blob in testdata/web-v1.oci/blobs/sha256/*; do
    cmp "$blob" "$scratch/out.oci/blobs/sha256/$(basename "$blob")" || { echo "A blob differs." >&2; exit 1; }
done
echo "The digests are equal, and so is every blob: what went in came out, bit for bit."
