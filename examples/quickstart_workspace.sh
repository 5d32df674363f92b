#!/usr/bin/env bash
# Makes a small project to work on in the current folder: logs, a script with a bug and its test.
set -euo pipefail
mkdir -p logs
seq -f 'request %g served' 1 40 >logs/monday.log
seq -f 'request %g served' 1 120 >logs/tuesday.log
seq -f 'request %g served' 1 75 >logs/wednesday.log
printf 'add() { echo $(($1 - $2)); }\ndouble() { echo $(($1 * 2)); }\n' >sums.sh
cat >test.sh <<'TEST'
#!/bin/bash
. ./sums.sh
status=0
check() {
  if [ "$($1)" = "$2" ]; then echo "ok: $1"; else echo "FAIL: $1 gives $($1), not $2"; status=1; fi
}
check 'add 3 4' 7
check 'double 6' 12
exit $status
TEST
chmod +x test.sh
