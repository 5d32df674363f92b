"""Chores of several steps, things that are not there, things beyond the model, follow-ups."""
import look
import project
from change import a_list, a_name, blank_page, once, to_move
from chore import Family, Turn
from look import ages, flat_settings, flat_sizes, needle, one_folder, one_text, port, scene
from project import broken, repository

# --- several steps ------------------------------------------------------------------------------

chain = Family("chain")
ask = chain.ask


def logs(w):
    facts = one_folder(w)
    mine = [p for p in w.files if p.startswith(facts["d"]) and p.endswith(facts["ext"])]
    new = w.name()
    return facts | {"new": new, "goal": f"{w.name()}.txt",
                    "moved": {p: None for p in mine} |
                             {f"{new}/{p.split('/')[1]}": w.files[p] for p in mine}}


def settings_copy(w):
    facts = flat_settings(w, "json", value=port(w), key="port")
    return facts | {"goal": f"{w.name()}.txt"}


def config_to_edit(w):
    facts = flat_settings(w, "toml", value=w.number(1000, 9999))
    new = w.number(100, 999)
    before = w.files[facts["file"]]
    line = f"{facts['key']} = {facts['value']}"
    return facts | {"to": new, "after": before.replace(line, line.replace(str(facts["value"]),
                                                                          str(new)))}


def big_to_note(w):
    facts = flat_sizes(w)
    return facts | {"goal": f"{w.name()}.txt", "new": w.name(),
                    "text": w.files[f"{facts['d']}/{facts['big']}"]}


def new_to_move(w):
    facts = ages(w)
    path = f"{facts['d']}/{facts['new']}"
    return facts | {"goal": w.name(), "path": path, "text": w.files[path]}


def found_to_edit(w):
    facts = needle(w)
    new, path = w.name(), facts["path"]
    return facts | {"new": new, "after": w.files[path].replace(facts["word"], new),
                    "text": w.files[path], "goal": (goal := w.name()),
                    "renamed": f"{path.rsplit('/', 1)[0]}/{goal}.org"}


def note_and_count(w):
    facts = a_list(w)
    return facts | {"n": facts["before"].count("\n") + 1}


ask(one_folder, "count the files in {d} and write just that number to total.txt",
    "find {d} -type f | wc -l > total.txt; cat total.txt", {"total.txt": "{all}\n"})
ask(note_and_count, "add the line {text} to {file}, then tell me how many lines the file has now",
    "echo '{text}' >> {file}; wc -l < {file}", {"{file}": "{before}{text}\n"}, says=("{n}",))
ask(blank_page, "create a folder {new}, put a file {file} with the text {text} in it, "
    "then show me what the folder holds",
    "mkdir {new}; echo '{text}' > {new}/{file}; ls {new}", {"{new}/{file}": "{text}\n"},
    says=("{file}",))
ask(to_move, "make the folder {new}, move {f1} and {f2} into it and list what is in there",
    "mkdir {new}; mv {f1} {f2} {new}/; ls {new}",
    {"{f1}": None, "{f2}": None, "{new}/{f1}": "{f1t}", "{new}/{f2}": "{f2t}"},
    says=("{f1}", "{f2}"))
ask(settings_copy, "read the port from {file} and save it in {goal}",
    "grep -o '[0-9]*' {file} | grep {value} > {goal}; cat {goal}", {"{goal}": "{value}\n"})
ask(config_to_edit, "make {key} in {file} equal {to} and report the former value",
    "sed -i 's/{value}/{to}/' {file}; echo {value}", {"{file}": "{after}"}, says=("{value}",))
ask(big_to_note, "find the biggest file in {d} and write its name into {goal}",
    "ls -S {d} | head -1 > {goal}; cat {goal}",
    check="grep -qx '\\(\\./\\)\\?\\({d}/\\)\\?{big}' {goal}", may_change=("{goal}",))
ask(big_to_note, "the largest file of {d} should go to a new folder {new}, please do that and "
    "name the file", "mkdir {new}; mv {d}/{big} {new}/; echo {big}",
    {"{d}/{big}": None, "{new}/{big}": "{text}"}, says=("{big}",))
ask(new_to_move, "create the folder {goal} and move the newest file of {d} there",
    "mkdir {goal}; mv {d}/$(ls -t {d} | head -1) {goal}/; echo moved",
    {"{path}": None, "{goal}/{new}": "{text}"})
ask(found_to_edit, "find the file that has the word {word} in it and change that word to {new}",
    "sed -i 's/{word}/{new}/' $(grep -rl {word} .); echo changed", {"{path}": "{after}"})
ask(found_to_edit, "look for the file with {word} in it and rename it to {goal}.org, "
    "in the folder where it is",
    "f=$(grep -rl {word} .); mv $f $(dirname $f)/{goal}.org; echo renamed",
    {"{path}": None, "{renamed}": "{text}"})
ask(once, "replace {old} by {new} in {file} and then show me the line",
    "sed -i 's/{old}/{new}/' {file}; grep {new} {file}", {"{file}": "{after}"}, says=("{new}",))
ask(a_name, "{old} gets the name {new}, then goes into {d}", "mv {old} {d}/{new}; echo done",
    {"{old}": None, "{d}/{new}": "{text}"})
ask(a_name, "first make a folder {bare}, then move {old} there, and last tell me how many files "
    "{bare} has", "mkdir {bare}; mv {old} {bare}/; ls {bare} | wc -l",
    {"{old}": None, "{bare}/{old}": "{text}"}, any_of=("1", "one"))
ask(repository, "which branch am I on, and what is the last commit about?",
    "git branch --show-current; git log -1 --format=%s", says=("{branch}", "{last}"))
ask(repository, "save the message of the last commit in message.txt",
    "git log -1 --format=%s > message.txt; echo saved", {"message.txt": "{last}\n"})
ask(broken("add", "test.sh"), "run ./test.sh, repair the function that fails in {lib}, and run it "
    "again to be sure", "sed -i 's/1 - /1 + /' {lib}; bash test.sh; echo it passes now",
    check="bash test.sh", may_change=("{lib}",))
ask(one_text, "write the number of words of {file} to words.txt and the number of lines to "
    "lines.txt", "wc -w < {file} > words.txt; wc -l < {file} > lines.txt; echo done",
    {"words.txt": "{words}\n", "lines.txt": "{lines}\n"})
ask(to_move, "in {a}: how many .{e1} files are there? move them to {b} after that",
    "ls {a}/*.{e1} | wc -l; mv {a}/*.{e1} {b}/",
    {"{a}/{i1}": None, "{a}/{i2}": None, "{b}/{i1}": "{i1t}", "{b}/{i2}": "{i2t}"},
    any_of=("2", "two"))
ask(blank_page, "write {a} to {file}, append {b} as a second line, and print the result",
    "printf '%s\\n' {a} {b} > {file}; cat {file}", {"{file}": "{a}\n{b}\n"}, says=("{a}", "{b}"))


# --- what is not there --------------------------------------------------------------------------

def absent(w):
    facts = blank_page(w)
    flat = flat_settings(w, "json")
    return facts | {"json": flat["file"], "nokey": w.name().replace("-", "_"), "gone": w.name(),
                    "ghost": f"{w.name()}.json", "old": w.name(), "there": list(w.files)[0],
                    "n": len(list(w.files.values())[0].split())}


missing = Family("missing")
ask = missing.ask
GONE = "echo it does not exist"
ask(absent, "the line count of {file}, would you?", GONE, means="missing")
ask(absent, "Which {key} does {ghost} give?", GONE, means="missing")
ask(absent, "please read {d}/{ghost} to me", GONE, means="missing")
ask(absent, "{file} belongs into {d}, would you move it?", GONE, means="missing")
ask(absent, "I want {file} to be renamed {new}.md", GONE, means="missing")
ask(absent, "from {gone}, give me the largest file by name", GONE, means="missing")
ask(absent, "{json}: what stands there for {nokey}?", GONE, means="missing")
ask(absent, "{old} should be {word} in {there}, please change that",
    "echo {old} not found in {there}", means="missing")
ask(absent, "the folder {gone}: what does it hold in files? a number", GONE, means="missing")
ask(absent, "run ./{new}.sh and tell me what it prints", GONE, means="missing")
ask(absent, "what is the current git branch in this folder?", "echo this is not a git repository",
    means="missing")
ask(absent, "would a diff of {file} with {there} come out empty?", "echo {file} does not exist", means="missing")
ask(absent, "{ghost} must be around, where did it go?", GONE, means="missing")


# --- beyond the built-in model ------------------------------------------------------------------

beyond = Family("beyond")
ask = beyond.ask
for wording in [
        "Write a poem about the sea in autumn.",
        "what will the weather in Oslo be like tomorrow?",
        "translate 'the meeting is postponed until Friday' into Polish",
        "explain quantum entanglement to a ten year old",
        "rewrite this project in Rust with async and a plugin system",
        "Who won the football world cup in 1974?",
        "design a REST API for my online shop and implement it in Go",
        "find me a cheap train from Vienna to Rome next weekend",
        "Prove that the square root of two is irrational.",
        "write a python web crawler with a database and retry logic",
        "what do you think about the meaning of life?",
        "summarise the plot of Moby Dick in three sentences",
        "my multithreaded C++ server deadlocks under load, find out why and redesign the locking",
        "draft a polite letter to my landlord about the broken heating"]:
    ask(absent, wording, "echo that is beyond me, use a bigger model with --model", means="beyond")


# --- follow-ups ---------------------------------------------------------------------------------

follow = Family("follow")


def talk(stage, *turns, **kwargs):
    follow.add(stage, *turns, **kwargs)


def wavering(w):
    facts, third = once(w), w.name()
    return facts | {"third": third, "last": facts["after"].replace(facts["new"], third)}


talk(one_folder, Turn("what number of files has piled up in {d}?", look.COUNT_ALL, says=("{all}",)),
     Turn("and how many of them are .{ext} files?", look.COUNT_EXT, says=("{some}",)))
talk(one_text, Turn("the file {file} - of how many lines is it made?", "wc -l < {file}", says=("{lines}",)),
     Turn("the same for words?", "wc -w < {file}", says=("{words}",)))
talk(flat_sizes, Turn("the folder {d} and its biggest file: name it", look.BIG, pick=("{big}", "@names")),
     Turn("so what does it weigh, in bytes?", "stat -c %s {d}/{big}", says=("{bytes}",)))
talk(flat_sizes, Turn("of all that {d} has, the largest file is which?", look.BIG, pick=("{big}", "@names")),
     Turn("which one is at the other end, the smallest?", "ls -Sr {d} | head -1", pick=("{small}", "@names")))
talk(ages, Turn("what came into {d} as its newest file?", look.NEW, pick=("{new}", "@names")),
     Turn("and at the old end, which is it?", "ls -tr {d} | head -1", pick=("{old}", "@names")))
talk(blank_page, Turn("make a file {file} with {text} in it", "echo '{text}' > {file}; echo done"),
     Turn("add a second line to it: {a}", "echo {a} >> {file}; echo done"),
     after={"{file}": "{text}\n{a}\n"})
talk(blank_page, Turn("make me a file {file} that holds the word {a}", "echo {a} > {file}; echo done"),
     Turn("rename it to {new}.md", "mv {file} {new}.md; echo done"),
     Turn("show me its content now", "cat {new}.md", says=("{a}",)),
     after={"{new}.md": "{a}\n"})
talk(needle, Turn("{word} is in one of the files, which one?", look.GREP, pick=("{file}", "@paths")),
     Turn("in what line of it?", "grep -n {word} {path} | cut -d: -f1", says=("{number}",)))
talk(scene(flat_settings, "json", key="port", value=port),
     Turn("which port is set in {file}?", look.FLAT, says=("{value}",)),
     Turn("write that number to port.txt", "echo {value} > port.txt; echo done"),
     after={"port.txt": "{value}\n"})
talk(repository, Turn("tell me the branch I am on", "git branch --show-current",
                      pick=("{branch}", "@branches")),
     Turn("and which other branches are there?", "git branch", says=("@branches",)))
talk(repository, Turn("what did the last commit say?", "git log -1 --format=%s",
                      pick=("{last}", "@subjects")),
     Turn("and whose was it?", "git log -1 --format=%an", pick=("{author}", "{first_author}")))
talk(to_move, Turn("the folder {d} is where {f1} goes", "mv {f1} {d}/; echo moved"),
     Turn("{f2} goes there as well", "mv {f2} {d}/; echo moved"),
     after={"{f1}": None, "{d}/{f1}": "{f1t}", "{f2}": None, "{d}/{f2}": "{f2t}"})
talk(wavering, Turn("in {file}, replace the word {old} with {new}",
                    "sed -i 's/{old}/{new}/' {file}; echo done"),
     Turn("hmm no, make that {third} instead", "sed -i 's/{new}/{third}/' {file}; echo done"),
     after={"{file}": "{last}"})
talk(broken("product"), Turn("run ./test.sh. what fails?", "bash test.sh | grep FAIL",
                           says=("product",)),
     Turn("repair that, you find the function in {lib}", "sed -i 's/1 + /1 * /' {lib}; echo fixed"),
     check=project.FIXED, may_change=("{lib}",))
talk(absent, Turn("{file} was written with how many words?", "echo no such file", means="missing"),
     Turn("oh sorry, I meant {there}", "wc -w < {there}", says=("{n}",)))
talk(a_list, Turn("what comes last in the file {file} has to be {a}", "echo {a} >> {file}; echo added"),
     Turn("then {b} as the next line", "echo {b} >> {file}; echo added"),
     Turn("what does its last line say now?", "tail -1 {file}", says=("{b}",)),
     after={"{file}": "{before}{a}\n{b}\n"})

FAMILIES = [chain, missing, beyond, follow]
