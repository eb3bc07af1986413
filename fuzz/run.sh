#!/usr/bin/env bash
# fuzz/run.sh TARGET [ARGUMENT...]: builds the target with the instrumentation of
# cargo-fuzz, which it does not need, and runs it over its corpus. Arguments are
# libFuzzer's: -runs=100000, -max_total_time=600.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=$1
shift
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing \
-Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Cllvm-args=-sanitizer-coverage-stack-depth \
-Cdebug-assertions -Ccodegen-units=1"
# Only what is built for a named machine is instrumented: no build script, no macro.
machine=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS=$flags \
  cargo build --locked --quiet --release --target "$machine" --bin "$target"
mkdir -p "corpus/$target" artifacts
# What is new goes to the first folder, which is forgotten unless CORPUS names one: the
# corpus that is kept changes on purpose alone.
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
"target/$machine/release/$target" -artifact_prefix=artifacts/ -max_len=4096 -timeout=10 \
  -rss_limit_mb=2048 "${CORPUS:-$found}" "corpus/$target" "$@"
