#!/usr/bin/env bash
# Runs tests as a user without any rights: tests/sandbox/as_user.sh TESTS ATTACK FILTER
set -euo pipefail
[ "$(id -u)" -eq 0 ] || exec "$1" --gtest_filter="$3"
# Not in /tmp, which the sandbox hides: what the tests attack is to be in reach.
folder=$(mktemp -d /var/lib/corvid-tests-XXXXXX || mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$1" "$folder/tests"
cp "$2" "$folder/attack"
mkdir "$folder/tmp"
chown -R nobody:nogroup "$folder"
cd "$folder"
env -i PATH="$PATH" HOME="$folder/tmp" TMPDIR="$folder/tmp" CORVID_ATTACK="$folder/attack" \
  setpriv --reuid=nobody --regid=nogroup --clear-groups \
  "$folder/tests" --gtest_filter="$3"
