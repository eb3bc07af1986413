#!/usr/bin/env bash
# fuzz/run.sh TARGET [ARGUMENT...]: builds the target with the instrumentation of
# cargo-fuzz, which it does not need, and runs it over its corpus. Arguments are
# libFuzzer's: -runs=100000, -max_total_time=600; or a file to run that one input.
# fuzz/run.sh short [TARGET...]: each target, or those named, for as many executions as ./test has
# time for; a line for each, and all that the fuzzer said where it found something.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Bounded by executions, so that a slow machine finds no less: half a minute for all on one core.
SHORT=(-runs=200000 -print_final_stats=1)

# Only what is built for a named machine is instrumented: no build script, no macro.
machine=$(rustc -vV | sed -n 's/^host: //p')
target_dir=../target/fuzz

# build TARGET...
build() {
  local flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing \
-Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Cllvm-args=-sanitizer-coverage-stack-depth"
  RUSTFLAGS=$flags cargo build --locked --quiet --profile fuzz --package tessera-fuzz \
    --features fuzzer --target "$machine" --target-dir "$target_dir" "${@/#/--bin=}"
}

# run TARGET [ARGUMENT...]
run() {
  local target=$1 found
  shift
  mkdir -p "corpus/$target" artifacts
  # What is new goes to the first folder, which is forgotten unless CORPUS names one: the
  # corpus that is kept changes on purpose alone. One input to run stands alone.
  found=$(mktemp -d)
  local inputs=("${CORPUS:-$found}" "corpus/$target") argument status=0
  for argument in "$@"; do [ ! -f "$argument" ] || inputs=(); done
  # A machine that stands still for a while is no hang.
  "$target_dir/$machine/fuzz/$target" "-artifact_prefix=artifacts/$target-" -max_len=4096 \
    -timeout=60 -rss_limit_mb=2048 "${inputs[@]}" "$@" || status=$?
  rm -rf "$found"
  return "$status"
}

short() {
  local target said failed=0
  said=$(mktemp)
  for target in "$@"; do
    if run "$target" "${SHORT[@]}" >"$said" 2>&1; then
      echo "fuzz $target: ok, $(sed -n 's/^stat::number_of_executed_units: *//p' "$said") executions"
      continue
    fi
    failed=1
    cat "$said"
    echo "fuzz $target: FAILED; the input is in" \
      "fuzz/$(sed -n 's/.*Test unit written to //p' "$said" | tail -n 1);" \
      "once more: fuzz/run.sh $target FILE"
  done
  rm -f "$said"
  return "$failed"
}

case ${1:-} in
  short)
    shift
    if [ $# = 0 ]; then
      for target in targets/*.rs; do set -- "$@" "$(basename "$target" .rs)"; done
    fi
    build "$@"
    short "$@"
    ;;
  "" | -*)
    sed -n '2,/^[^#]/s/^# //p' "${BASH_SOURCE[0]##*/}" >&2
    exit 64
    ;;
  *)
    build "$1"
    run "$@"
    ;;
esac
