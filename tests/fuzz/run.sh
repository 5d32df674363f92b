#!/usr/bin/env bash
# Builds the fuzz targets with clang and runs each for some seconds, from the seeds it finds.
#   tests/fuzz/run.sh [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(
  constraint conversation gguf mcp oauth proxy requests schemas settings snapshot sse terminal text
  tokenizer turn_parser)

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${targets[@]/#/fuzz_}" -- -j2
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  python3 tests/fuzz/seeds.py "$target" "$corpus"
  echo "== $target, $seconds s"
  "build/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 \
    -max_len=4000 -artifact_prefix="$corpus/../$target-" -print_final_stats=1 "$corpus" 2>&1 |
    grep -E 'ERROR|SUMMARY|Test unit|stat::number_of_executed_units|stat::new_units|Done'
done
