# A plugin of shell commands that comes with Corvid, and one of the project's own: plugin.json.
corvid plugins add git
mkdir -p .corvid/plugins
cp -r "$EXAMPLE/words" .corvid/plugins/words
corvid plugins trust words  # what a project brings along is used when its user says so
git init -q -b main
git config user.name Ada
git config user.email ada@example.org
printf 'the raven and the crow and the jay\n' >birds.txt
git add birds.txt
git commit -qm "Birds"
printf 'the raven, the crow and the jay\n' >birds.txt
task="Count the words of birds.txt and commit the change."
