#!/bin/sh
# Runs each fuzz target for FUZZ_SECONDS (default 30), from its seeds and what earlier runs have found.
#
#   tests/fuzz/run.sh [TARGET]...     default: all of src/bin
#
# Seeds are committed in seeds/TARGET/. The grown corpus and any crash stay under target/fuzz/.
# A crash makes this fail; run its file again with: target/fuzz/<triple>/release/TARGET FILE
set -eu
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-30}
triple=$(rustc -vV | sed -n 's/^host: //p')

# What cargo-fuzz passes, less AddressSanitizer, which is for nightly: the coverage pass is part of
# LLVM and may be asked for on stable. --target keeps it out of build scripts and macros.
RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
export RUSTFLAGS

cargo build --quiet --release --manifest-path tests/fuzz/Cargo.toml --target "$triple" --target-dir target/fuzz

[ $# -gt 0 ] || set -- $(cd tests/fuzz/src/bin && ls -- *.rs | sed 's/\.rs$//')
failed=
for target; do
    corpus=target/fuzz/corpus/$target
    crashes=target/fuzz/crashes/$target
    seeds=tests/fuzz/seeds/$target
    mkdir -p "$corpus" "$crashes"
    log=$crashes/log
    echo "Fuzzing $target for $seconds s."
    # A bound on memory is one of the promises: 512 MB, of which libFuzzer takes some itself.
    if "target/fuzz/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
        -artifact_prefix="$crashes/" "$corpus" $([ -d "$seeds" ] && echo "$seeds") >"$log" 2>&1; then
        tail -n 1 "$log"
    else
        tail -n 30 "$log"
        failed="$failed $target"
    fi
done
[ -z "$failed" ] || { echo "Found crashes in:$failed (see target/fuzz/crashes)." >&2; exit 1; }
