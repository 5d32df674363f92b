# Two plugins in Lua that come with Corvid: todo keeps a list, tests runs the project's tests.
corvid plugins add todo
corvid plugins add tests
printf 'add() { echo $(($1 - $2)); }\n' >sums.sh
printf '. ./sums.sh\n[ "$(add 3 4)" = 7 ] || { echo "FAIL: add 3 4 gives $(add 3 4), not 7"; exit 1; }\n' >test.sh
task="Make the tests pass."
