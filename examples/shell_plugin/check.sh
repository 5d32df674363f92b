[ "$(git log -1 --format=%s)" = "One and is enough" ] && echo "It is committed:"
git log --oneline
