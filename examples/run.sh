#!/usr/bin/env bash
# One complete run of the agent for each way to give it tools, with a scripted model: no network.
#   examples/run.sh lua_plugin|shell_plugin|mcp_server [CORVID]
# Each is a folder: model.json is what the model says, setup.sh furnishes the workspace and names the
# task, check.sh tells whether the work was done.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
example=$here/${1:?usage: examples/run.sh lua_plugin|shell_plugin|mcp_server [CORVID]}
corvid=$(realpath "${2:-$here/../build/release/corvid}")
[ -f "$example/model.json" ] || { echo "There is no example $1." >&2; exit 2; }
[ -x "$corvid" ] || { echo "Build Corvid first: examples/quickstart.sh, or see README.md." >&2; exit 2; }

# A home and a workspace that go away again: nothing of yours is touched.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/corvid-example.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/home" "$scratch/work"
export HOME=$scratch/home EXAMPLE=$example PATH="$(dirname "$corvid"):$PATH"
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
cd "$scratch/work"

options=() task=
. "$example/setup.sh"
printf '\n> corvid run %s"%s"\n' "${options[*]:+${options[*]} }" "$task"
"$here/scripted_model.py" "$example/model.json" \
  corvid run --model '{model}' "${options[@]}" "$task" </dev/null
printf '\n'
. "$example/check.sh"
