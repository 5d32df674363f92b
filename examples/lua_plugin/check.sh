sh test.sh && echo "The tests pass."
grep -rqE "\"done\": *true" "$HOME/.local/state/corvid/plugins" && echo "The list was kept."
