#!/usr/bin/env bash
# The engine on aarch64: builds its tests with Debian's cross compiler, runs them under QEMU.
#   tests/aarch64/run.sh [GoogleTest options]
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake -S tests/aarch64 -B build/aarch64 -G Ninja >/dev/null
cmake --build build/aarch64
# The scalar set's logits are tested natively.
exec qemu-aarch64 build/aarch64/engine_tests --gtest_brief=1 --gtest_filter='-*scalar' "$@"
