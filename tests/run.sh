#!/usr/bin/env bash
# Installs what is missing, builds Corvid and runs its tests: tests/run.sh [--all]
#   --all  adds the exam of the built-in model, MCP servers, MCP's conformance suite, SDKs and
#          agents from npm, the README's figures, sanitizers, aarch64 under QEMU and fuzzing
# The last line is the tally: "N passed, N failed". The exit code is 1 when anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

case "${1:-}" in
  "") packages=test ;;
  --all) packages=all ;;
  *) echo "usage: tests/run.sh [--all]" >&2; exit 2 ;;
esac

passed=0 failed=0
summary=()
trap 'rm -rf "$scratch"' EXIT
scratch=$(mktemp -d)

# A compiler takes up to 1.5 GB.
cores=$(nproc)
memory=$(($(awk '/MemAvailable/ {print $2}' /proc/meminfo) / 1500000))
jobs=$((memory < cores ? (memory > 0 ? memory : 1) : cores))

note() {  # NAME RESULT SECONDS
  summary+=("$(printf '%-28s %-24s %5d s' "$1" "$2" "$3")")
}

# stage NAME COMMAND...: counts as one test; with exit code 77 it was skipped and said why.
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
    note "$name" passed $((SECONDS - start))
  elif [ "$status" -eq 77 ]; then
    note "$name" skipped $((SECONDS - start))
  else
    failed=$((failed + 1))
    note "$name" FAILED $((SECONDS - start))
  fi
}

# build PRESET [CMAKE OPTIONS...]
build() {
  local preset=$1
  shift
  cmake --preset "$preset" "$@" && cmake --build --preset "$preset" -- -j "$jobs"
}

# suite PRESET [CTEST OPTIONS...]: builds, runs and counts each test.
suite() {
  local preset=$1 start=$SECONDS report=$scratch/$1.xml attributes ran bad skipped
  shift
  printf '\n== %s: build\n' "$preset"
  if ! build "$preset" -DCORVID_TESTS=ON; then
    failed=$((failed + 1))
    note "$preset" "BUILD FAILED" $((SECONDS - start))
    return
  fi
  note "$preset: build" passed $((SECONDS - start))
  start=$SECONDS
  printf '\n== %s: tests\n' "$preset"
  ctest --preset "$preset" -j "$cores" --output-junit "$report" --no-tests=error \
    --test-output-size-passed 1000000 "$@"
  local status=$?
  if [ ! -e "$report" ]; then
    failed=$((failed + 1))
    note "$preset: tests" "ENDED EARLY" $((SECONDS - start))
    return
  fi
  # Of hostile acts that do nothing here even so, the probes that failed; why tests were skipped.
  sed -n 's/^\(no harm to show on this machine: [^<]*\).*/\1/p' "$report" | sort -u
  sed -n '/: Skipped$/{n;s/^/skipped: /p}' "$report" | sort -u
  attributes=$(tr '\n' ' ' <"$report" | grep -o '<testsuite [^>]*>')
  count() { sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" <<<"$attributes"; }
  ran=$(count tests) bad=$(count failures) skipped=$(($(count skipped) + $(count disabled)))
  [ "$status" -eq 0 ] || [ "${bad:-0}" -gt 0 ] || bad=1
  passed=$((passed + ran - bad - skipped)) failed=$((failed + bad))
  local result="$((ran - bad - skipped)) passed, $bad failed"
  [ "$skipped" -eq 0 ] || result+=", $skipped skipped"
  note "$preset: tests" "$result" $((SECONDS - start))
}

# What a Mac builds, and a model on each of the devices there are.
engine_alone() {
  local engine=build/engine/corvid_engine model=build/release/test_models/tiny-sparse.gguf backend
  cmake --preset release -B build/engine -DCORVID_ENGINE_ONLY=ON &&
    cmake --build build/engine -- -j "$jobs" || return
  for backend in cpu $("$engine" devices | grep -o '^vulkan:[0-9]*'); do
    "$engine" bench --backend "$backend" --model "$model" --prompt 20 --generate 2 || return
  done
}

if ! tests/packages.sh "$packages"; then
  echo "The packages above could not be installed." >&2
  echo "0 passed, 1 failed"
  exit 1
fi
suite release
if [ "$packages" = all ]; then
  stage "exam: wordings are its own" tests/eval/eval_test.py --conversations 10000 \
    Exam.test_shares_no_wording_with_the_training_data
  stage "exam: 90% or more" tests/eval/run_eval.py --jobs "$cores" --min 90
  stage "exam, shuffled: below 5%" tests/eval/run_eval.py --jobs "$cores" --shuffled --max 4.99
  stage "MCP servers from npm" tests/mcp/real_servers.py
  stage "MCP conformance suite" tests/mcp/conformance.py
  stage "serve: SDKs from npm" tests/serve/sdk_clients.py
  stage "serve: agents from npm" tests/serve/real_clients.py
  stage "serve: 1 ms, 10 MB" tests/bench/serve_bench.py --check
  stage "figures" tests/bench/figures.py --check
  stage "sandbox: 5 ms a command" build/release/sandbox_bench
  suite asan -E '^(Exam|Structure)\.|^vulkan_chores$'
  # Not the long ones on one thread, nor the logits of every kernel set: EngineTest has the threads.
  suite tsan -E '^(Exam|Structure|HostileText)\.|^vulkan_chores$|/(Logits|FastPath|EveryFormat|HostileModel|Kernel|VulkanShaders|PreSplits)\.'
  stage "engine on aarch64" tests/aarch64/run.sh
  stage "engine without the agent" engine_alone
  stage "fuzzing" tests/fuzz/run.sh 60
fi

printf '\n'
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
