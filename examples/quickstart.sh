#!/usr/bin/env bash
# From a fresh clone to an agent at work: installs what is missing, builds, runs.
#   examples/quickstart.sh            three chores in a scratch folder, with the built-in model
#   examples/quickstart.sh "task"     that task, in the current folder
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
corvid=$root/build/release/corvid
log=$(mktemp)
trap 'rm -f "$log"' EXIT

bold="" dim="" plain="" live=""
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
  live=yes
  [ -n "${NO_COLOR:-}" ] || bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

say() { printf '%s\n' "$*"; }
step() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }
aside() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }

# quietly WHAT COMMAND...: its output is shown only when it fails.
quietly() {
  local what=$1 start=$SECONDS
  shift
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    say "$what failed; the end of its output is above." >&2
    exit 1
  fi
  aside "  $what: done in $((SECONDS - start)) s"
}

# Ninja's lines as one line that counts up, or as a line now and then where there is no terminal.
show_build() {
  local line shown=0
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    if [ -n "$live" ]; then
      printf '\r  %s of %s files' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    elif [ $((BASH_REMATCH[1] * 4 / BASH_REMATCH[2])) -gt $shown ]; then
      shown=$((BASH_REMATCH[1] * 4 / BASH_REMATCH[2]))
      say "  ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]} files"
    fi
  done
  [ -z "$live" ] || printf '\r\e[K'
}

prepare() {
  cd "$root"
  step "Packages"
  if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null && ! sudo -n true 2>/dev/null; then
    aside "  (sudo may ask for your password)"
    tests/packages.sh build
  else
    quietly "installing what is missing" tests/packages.sh build
  fi
  step "Build"
  if [ ! -f build/release/build.ninja ]; then
    quietly "configuring" cmake --preset release -DCORVID_TESTS=OFF
  fi
  local start=$SECONDS
  : >"$log"
  if ! cmake --build --preset release --target corvid 2>&1 </dev/null | show_build; then
    grep -A 20 -m 1 FAILED "$log" >&2 || tail -n 40 "$log" >&2
    say "The build failed; the first error is above." >&2
    exit 1
  fi
  aside "  $("$corvid" --version): built in $((SECONDS - start)) s"
}

chore() {
  printf '\n%s> corvid run "%s"%s\n' "$bold" "$1" "$plain"
  "$corvid" run "$1" </dev/null || {
    aside "  (exit code $?)"
    failed=1
  }
}

here=$PWD
prepare
if [ $# -gt 0 ]; then
  cd "$here"
  rm -f "$log"
  exec "$corvid" run "$*"
fi

failed=0
workspace=$(mktemp -d "${TMPDIR:-/tmp}/corvid-quickstart.XXXXXX")
cd "$workspace"
"$root/examples/quickstart_workspace.sh"
printf '\n'
step "Three chores, with the model inside the program, in $workspace"
chore "which file in logs is the largest?"
chore "create a file called hello.txt with the text good morning"
chore "run ./test.sh and fix what fails"

printf '\n'
step "The sessions"
"$corvid" sessions --limit 3

printf '\n'
step "From here"
cat <<TEXT
  corvid is $corvid

  corvid                                          talk to it in this terminal
  corvid resume                                   go on with the last session
  corvid run --model FILE.gguf "task"             a bigger model, on this machine
  corvid run --model http://HOST:PORT/v1 "task"   a model behind a chat-completions API
  corvid --help                                   all the rest

The built-in model is small: it does chores in a terminal, asked for in English. README.md tells how
to give Corvid a bigger one.
TEXT
exit $failed
