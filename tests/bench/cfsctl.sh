#!/bin/sh
# Builds composefs' cfsctl for the bench, once, into $IMGIT_BENCH_DIR/cfsctl. About ten minutes of two cores.
# Where it will not build, or with IMGIT_BENCH_CFSCTL=no, the bench runs without it.
set -u
bench=${IMGIT_BENCH_DIR:-/var/tmp/imgit-bench}
[ "${IMGIT_BENCH_CFSCTL:-yes}" = yes ] || exit 0
! command -v cfsctl >/dev/null || exit 0
[ ! -x "$bench/cfsctl/bin/cfsctl" ] || exit 0
mkdir -p "$bench"
echo "Building cfsctl (composefs)."
cargo install --quiet --locked composefs-ctl@0.9.4 --root "$bench/cfsctl" >"$bench/cfsctl.log" 2>&1 ||
    echo "cfsctl does not build here, see $bench/cfsctl.log: going on without it." >&2
