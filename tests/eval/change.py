"""Chores that change files: creating, appending, renaming, moving, replacing."""
from chore import Family
from look import flat_settings, pick_extensions, port, scene, settings, version


# --- creating -----------------------------------------------------------------------------------

def blank_page(w):
    ext = pick_extensions(w, 1)[0]
    d = w.name()
    w.file(f"{d}/{w.name()}.{ext}", w.lines(2))
    w.file(f"{w.name()}.txt", w.lines(2))
    return {"d": d, "file": f"{w.name()}.{ext}", "new": w.name(), "text": w.words(4),
            "word": w.name(), "number": w.number(100, 99999), "key": w.word(),
            "a": w.name(), "b": w.name(), "c": w.name()}


create = Family("create")
ask = create.ask
WRITE, TEXT = "echo '{text}' > {file}; echo done", {"{file}": "{text}\n"}
ask(blank_page, "Please make me a file called {file}. It should say: {text}", WRITE, TEXT)
ask(blank_page, "make a new file called {file} with the text \"{text}\" in it", WRITE, TEXT)
ask(blank_page, "put the words {text} into a new file named {file}", WRITE, TEXT)
ask(blank_page, "I need a file {file} containing exactly this: {text}", WRITE, TEXT)
ask(blank_page, "save the following line as {file}: {text}", WRITE, TEXT)
ask(blank_page, "create {new}/{file} with one line in it, {text}",
    "mkdir {new}; echo '{text}' > {new}/{file}; echo done", {"{new}/{file}": "{text}\n"})
ask(blank_page, "an empty file {file} is needed here", "touch {file}; echo done", {"{file}": ""})
ask(blank_page, "I want a new folder called {new} here", "mkdir {new}; echo done", {"{new}/": ""})
ask(blank_page, "please set up a folder {new} with an empty file {file} inside",
    "mkdir {new}; touch {new}/{file}; echo done", {"{new}/{file}": ""})
ask(blank_page, "start a file {file} with three lines: {a}, {b} and {c}",
    "printf '%s\\n' {a} {b} {c} > {file}; echo done", {"{file}": "{a}\n{b}\n{c}\n"})
ask(blank_page, "write a shell script {new}.sh that prints {word}",
    "echo 'echo {word}' > {new}.sh; echo done", check="[ \"$(bash {new}.sh)\" = {word} ]",
    may_change=("{new}.sh",))
ask(blank_page, "new file {file}, content: {text}", WRITE, TEXT)
ask(blank_page, "store the number {number} in {file}", "echo {number} > {file}; echo done",
    {"{file}": "{number}\n"})
ask(blank_page, "create {file} in the {d} folder, with \"{text}\" inside",
    "echo '{text}' > {d}/{file}; echo done", {"{d}/{file}": "{text}\n"})
ask(blank_page, "Write the single word {word} to {d}/{file}, which does not exist yet.",
    "echo {word} > {d}/{file}; echo done", {"{d}/{file}": "{word}\n"})


# --- appending ----------------------------------------------------------------------------------

def a_list(w):
    ext = pick_extensions(w, 1)[0]
    file = w.file(f"{w.name()}.{ext}", w.lines(w.rng.randint(3, 6)))
    d = w.name()
    inner = w.file(f"{d}/{w.name()}.{ext}", w.lines(3))
    return {"file": file, "before": w.files[file], "text": w.words(3), "d": d, "inner": inner,
            "inner_name": inner.split("/")[1], "inner_before": w.files[inner],
            "a": w.name(), "b": w.name()}


append = Family("append")
ask = append.ask
ADD, ADDED = "echo '{text}' >> {file}; echo added", {"{file}": "{before}{text}\n"}
ask(a_list, "Append this line to {file}: {text}", ADD, ADDED)
ask(a_list, "at the very end of {file}, add \"{text}\"", ADD, ADDED)
ask(a_list, "put {text} on a new last line of {file}", ADD, ADDED)
ask(a_list, "please add a line saying {text} to the bottom of {file}", ADD, ADDED)
ask(a_list, "{file} lacks one line at the end: {text}", ADD, ADDED)
ask(a_list, "one more line for {file}, at its end: {text}", ADD, ADDED)
ask(a_list, "add {a} to my list in {file}", "echo {a} >> {file}; echo added",
    {"{file}": "{before}{a}\n"})
ask(a_list, "below the final line of {file}, put {text}", ADD, ADDED)
ask(a_list, "extend {file} by two lines, {a} and then {b}",
    "printf '%s\\n' {a} {b} >> {file}; echo added", {"{file}": "{before}{a}\n{b}\n"})
ask(a_list, "{a} should become the last line of {file} and of {inner}",
    "echo {a} >> {file}; echo {a} >> {inner}; echo added",
    {"{file}": "{before}{a}\n", "{inner}": "{inner_before}{a}\n"})
ask(a_list, "log the entry {text} in {file} and keep what is there", ADD, ADDED)
ask(a_list, "at the end of {inner_name} in the folder {d}, add a line with {b}",
    "echo {b} >> {inner}; echo added", {"{inner}": "{inner_before}{b}\n"})


# --- renaming -----------------------------------------------------------------------------------

def a_name(w):
    ext, other = pick_extensions(w, 2)
    stem, new = w.name(), w.name()
    old = w.file(f"{stem}.{ext}", w.lines(3))
    d = w.name()
    inner = w.file(f"{d}/{w.name()}.{ext}", w.lines(2))
    w.file(f"{d}/{w.name()}.{other}", w.lines(1))
    return {"old": old, "text": w.files[old], "stem": stem, "new": f"{new}.{ext}", "bare": new,
            "ext": ext, "e2": "org", "d": d, "inner": inner.split("/")[1],
            "inner_stem": inner.split("/")[1].split(".")[0], "inner_text": w.files[inner]}


def a_folder(w):
    old, new = w.name(), w.name()
    a, b = (w.file(f"{old}/{w.name()}.txt", w.lines(2)) for _ in range(2))
    w.file(f"{w.name()}/{w.name()}.txt", w.lines(1))
    return {"old": old, "new": new, "a": a.split("/")[1], "b": b.split("/")[1],
            "at": w.files[a], "bt": w.files[b]}


rename = Family("rename")
ask = rename.ask
MV, MOVED = "mv {old} {new}; echo renamed", {"{old}": None, "{new}": "{text}"}
IN_D = {"{d}/{inner}": None, "{d}/{new}": "{inner_text}"}
ask(a_name, "{old} has a bad name, it should be called {new}", MV, MOVED)
ask(a_name, "{old} needs a different name: {new}", MV, MOVED)
ask(a_name, "call {old} {new} from today on", MV, MOVED)
ask(a_name, "{new} suits {old} better as a name, make the change.", MV, MOVED)
ask(a_name, "from now on I want {old} known as {new}", MV, MOVED)
ask(a_folder, "{new} is the name that the folder {old} has to get", MV,
    {"{old}/": None, "{new}/{a}": "{at}", "{new}/{b}": "{bt}"})
ask(a_name, "in {d} there is a file {inner}: its name should be {new}",
    "mv {d}/{inner} {d}/{new}; echo renamed", IN_D)
ask(a_name, "rename each .{ext} file in {d} so that it ends in .{e2}",
    "mv {d}/{inner} {d}/{inner_stem}.{e2}; echo renamed",
    {"{d}/{inner}": None, "{d}/{inner_stem}.{e2}": "{inner_text}"})
ask(a_name, "change the extension of {old} from {ext} to {e2}",
    "mv {old} {stem}.{e2}; echo renamed", {"{old}": None, "{stem}.{e2}": "{text}"})
ask(a_name, "I misspelled the file name {old}, it must be {new}. please fix that", MV, MOVED)
ask(a_name, "rename {d}/{inner}, its new name in that folder is {new}",
    "mv {d}/{inner} {d}/{new}; echo renamed", IN_D)
ask(a_name, "swap the ending .{ext} of {old} for .{e2}",
    "mv {old} {stem}.{e2}; echo renamed", {"{old}": None, "{stem}.{e2}": "{text}"})


# --- moving -------------------------------------------------------------------------------------

def to_move(w):
    e1, e2 = pick_extensions(w, 2)
    d, a, b, sub, prefix = (w.name() for _ in range(5))
    facts = {"d": d, "a": a, "b": b, "sub": sub, "e1": e1, "e2": e2, "prefix": prefix,
             "new": w.name()}
    w.file(f"{d}/{w.name()}.{e2}", w.lines(1))
    w.file(f"{d}/{sub}/{w.name()}.{e2}", w.lines(1))
    w.file(f"{b}/{w.name()}.{e2}", w.lines(1))
    for key, name in (("f1", f"{w.name()}.{e1}"), ("f2", f"{w.name()}.{e1}"),
                      ("g1", f"{w.name()}.{e2}"), ("p1", f"{prefix}_{w.rng.randint(1, 9)}.org")):
        facts[key] = name
        facts[key + "t"] = w.lines(2)
        w.file(name, facts[key + "t"])
    for key, ext in (("i1", e1), ("i2", e1), ("j1", e2)):
        facts[key] = f"{w.name()}.{ext}"
        facts[key + "t"] = w.lines(2)
        w.file(f"{a}/{facts[key]}", facts[key + "t"])
    return facts


move = Family("move")
ask = move.ask
F1 = {"{f1}": None, "{d}/{f1}": "{f1t}"}
BOTH = {"{f1}": None, "{d}/{f1}": "{f1t}", "{f2}": None, "{d}/{f2}": "{f2t}"}
ask(to_move, "Move {f1} so that it lives in {d}.", "mv {f1} {d}/; echo moved", F1)
ask(to_move, "{d} is the place for {f1}", "mv {f1} {d}/; echo moved", F1)
ask(to_move, "please move all .{e1} files of this folder to {d}", "mv *.{e1} {d}/; echo moved",
    BOTH)
ask(to_move, "{f1} got misplaced, its home is {d}", "mv {f1} {d}/; echo moved", F1)
ask(to_move, "move everything that ends in .{e1} from {a} to {b}",
    "mv {a}/*.{e1} {b}/; echo moved",
    {"{a}/{i1}": None, "{a}/{i2}": None, "{b}/{i1}": "{i1t}", "{b}/{i2}": "{i2t}"})
ask(to_move, "{i1} has no business in {a}, put it in {b}", "mv {a}/{i1} {b}/; echo moved",
    {"{a}/{i1}": None, "{b}/{i1}": "{i1t}"})
ask(to_move, "make a folder {new} and move {f1} there", "mkdir {new}; mv {f1} {new}/; echo moved",
    {"{f1}": None, "{new}/{f1}": "{f1t}"})
ask(to_move, "the folder {a} should go inside {b}, please move it", "mv {a} {b}/; echo moved",
    {"{a}/": None, "{b}/{a}/{i1}": "{i1t}", "{b}/{a}/{i2}": "{i2t}", "{b}/{a}/{j1}": "{j1t}"})
ask(to_move, "bring {a}/{i1} up to the top folder", "mv {a}/{i1} .; echo moved",
    {"{a}/{i1}": None, "{i1}": "{i1t}"})
ask(to_move, "{f1} is wanted over in {d}", "mv {f1} {d}/; echo moved", F1)
ask(to_move, "the files that start with {prefix} should move to {d}",
    "mv {prefix}* {d}/; echo moved", {"{p1}": None, "{d}/{p1}": "{p1t}"})
ask(to_move, "tidy up {a}: the .{e1} files go to {d}, the .{e2} files go to {b}",
    "mv {a}/*.{e1} {d}/; mv {a}/*.{e2} {b}/; echo moved",
    {"{a}/{i1}": None, "{d}/{i1}": "{i1t}", "{a}/{i2}": None, "{d}/{i2}": "{i2t}",
     "{a}/{j1}": None, "{b}/{j1}": "{j1t}"})
ask(to_move, "{f1} goes to {d}, and so does {f2}", "mv {f1} {f2} {d}/; echo moved", BOTH)
ask(to_move, "relocate {g1} to {d}/{sub}", "mv {g1} {d}/{sub}/; echo moved",
    {"{g1}": None, "{d}/{sub}/{g1}": "{g1t}"})


# --- replacing text -----------------------------------------------------------------------------

def once(w):
    old, new = w.name(), w.name()
    lines = w.lines(6).splitlines()
    lines[w.rng.randint(0, 5)] += f" {old} {w.words(1)}"
    text = "\n".join(lines) + "\n"
    file = w.file(f"{w.name()}.{pick_extensions(w, 1)[0]}", text)
    w.file(f"{w.name()}.txt", f"{old} {w.words(2)}\n")
    gone = "".join(line + "\n" for line in lines if old not in line)
    return {"file": file, "old": old, "new": new, "after": text.replace(old, new), "gone": gone}


def often(w):
    facts = once(w)
    file, old, new = facts["file"], facts["old"], facts["new"]
    w.files[file] = "".join(f"{line} {old}\n" if w.rng.random() < 0.5 else f"{line}\n"
                            for line in w.files[file].splitlines()) + f"{old} and {old}\n"
    return facts | {"after": w.files[file].replace(old, new)}


def spread(w):
    d, old, new, ext = w.name(), w.name(), w.name(), "txt"
    facts = {"d": d, "old": old, "new": new, "ext": ext}
    for i, key in enumerate("abc"):
        text = w.lines(3) + (f"{w.words(1)} {old} {w.words(1)}\n" if i < 2 else "")
        facts[key] = w.file(f"{d}/{w.name()}.{ext}", text)
        facts[key + "t"] = text.replace(old, new)
    return facts


def change_setting(make, *args, to, **kwargs):
    """A settings scene with the value to change to and the text after the change."""
    stage = scene(make, *args, **kwargs)

    def changed(w):
        facts = stage(w)
        new = to(w)
        lines = w.files[facts["file"]].splitlines(keepends=True)
        at = [i for i, line in enumerate(lines)
              if facts["key"] in line and str(facts["value"]) in line][0]
        lines[at] = lines[at].replace(str(facts["value"]), str(new))
        return facts | {"new": new, "after": "".join(lines), "line": at + 1}
    return changed


replace = Family("replace")
ask = replace.ask
SED, AFTER = "sed -i 's/{old}/{new}/g' {file}; echo replaced", {"{file}": "{after}"}
AT = "sed -i '{line}s/{value}/{new}/' {file}; echo changed"
ALL = "sed -i 's/{old}/{new}/g' {d}/*; echo replaced"
ABC = {"{a}": "{at}", "{b}": "{bt}"}
ask(once, "{new} is to stand in {file} in the place of {old}.", SED, AFTER)
ask(often, "every {old} in {file} has to become {new}", SED, AFTER)
ask(once, "in {file} the word {old} should be {new}", SED, AFTER)
ask(change_setting(flat_settings, "toml", to=lambda w: w.number(100, 999),
                   value=lambda w: w.number(1000, 9999)),
    "{key} in {file} ought to have the value {new}", AT, AFTER)
ask(change_setting(flat_settings, "json", to=port, value=port, key="port"),
    "please change the port in {file} to {new}", AT, AFTER)
ask(once, "In {file} the word is {old}, but {new} is right. Correct it.", SED, AFTER)
ask(once, "there's a typo in {file}: {old} must be {new}", SED, AFTER)
ask(spread, "replace all occurrences of {old} with {new} in the whole folder {d}", ALL, ABC)
ask(change_setting(flat_settings, "toml", to=lambda w: "false", value=lambda w: True),
    "turn {key} off in {file}, it is true now and should be false", AT, AFTER)
ask(change_setting(flat_settings, "json", to=version, value=version, key="version"),
    "the version in {file} has to become {new}", AT, AFTER)
ask(once, "the line with {old} has to go from {file}", "sed -i '/{old}/d' {file}; echo deleted",
    {"{file}": "{gone}"})
ask(often, "edit {file}: {old} -> {new}, everywhere", SED, AFTER)
ask(change_setting(settings, "ini", to=lambda w: w.name()),
    "in section {section} of {file} change {key} to {new}", AT, AFTER)
ask(once, "wherever {file} has {old}, let it have {new}", SED, AFTER)
ask(change_setting(flat_settings, "ini", to=lambda w: w.name(), key="user"),
    "update the user in {file} from {value} to {new}", AT, AFTER)
ask(spread, "in each .{ext} file of {d}, {old} should become {new}", ALL, ABC)

FAMILIES = [create, append, rename, move, replace]
