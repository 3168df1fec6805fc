#!/bin/sh
# The main job on two real images, in a temporary store: in, versions, diff, search, and the same image out.
set -eu
cd "$(dirname "$0")/.."

cargo build --release --quiet
imgit=${IMGIT:-$PWD/target/release/imgit}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/imgit-demo.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export IMGIT_STORE="$scratch/store"

# Shows a command as one would type it, then runs it.
run() {
    printf '\n$ imgit %s\n' "$*"
    "$imgit" "$@"
}

# The digest of the one manifest in an OCI layout.
digest() { grep -o 'sha256:[0-9a-f]*' "$1/index.json"; }

run import oci:testdata/web-v1.oci:v1 web
run tag web v1
run import docker-archive:testdata/web-v2.docker.tar web
run tag web v2

run catalog
run log web
run diff web:v1 web:v2
run diff web:v1 web:v2 etc/web/web.conf -p
run diff web:v1 web:v2 --config
run cat web:v2 /etc/web/web.conf
run whereis '**/web.conf'

run export web:v1 "oci:$scratch/out.oci:v1"
came_in=$(digest testdata/web-v1.oci)
went_out=$(digest "$scratch/out.oci")
printf '\nmanifest in:  %s\nmanifest out: %s\n' "$came_in" "$went_out"
[ "$came_in" = "$went_out" ] || { echo "The digests differ." >&2; exit 1; }
echo "The digests are equal: what went in came out, bit for bit."
