#!/usr/bin/env bash
# Builds Corvid and runs its tests: tests/run.sh [--all]
#   --all  adds sanitizers, fuzzing and the long suites
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --all ]; then tests/packages.sh all; else tests/packages.sh test; fi
cmake --preset release
cmake --build --preset release
ctest --preset release -j "$(nproc)"
