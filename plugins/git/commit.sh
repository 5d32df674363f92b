#!/bin/sh
# ARG_paths is a JSON list of strings; git reads the paths from stdin, each ended by a NUL.
set -eu
if [ -n "${ARG_paths:-}" ]; then
  printf '%s' "$ARG_paths" | python3 -c '
import json, sys
sys.stdout.write("".join(path + "\0" for path in json.load(sys.stdin)))
' | git add --pathspec-from-file=- --pathspec-file-nul
else
  git add --all
fi
git commit --quiet --message "$ARG_message"
git log -1 --format='Committed %h: %s' --stat
