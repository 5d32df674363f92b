"""Chores that only look: counting, finding, searching, sizes, ages, disk use, settings."""
import os

from chore import Family

EXTENSIONS = ["txt", "md", "csv", "log", "dat", "conf", "sh", "html", "tex", "bak"]


def pick_extensions(w, n):
    return w.rng.sample(EXTENSIONS, n)


# --- counting -----------------------------------------------------------------------------------

def one_folder(w):
    d, (ext, other) = w.name(), pick_extensions(w, 2)
    a, b = w.rng.sample(range(2, 9), 2)
    for extension, n in ((ext, a), (other, b)):
        for _ in range(n):
            w.file(f"{d}/{w.name()}.{extension}", w.lines(w.rng.randint(1, 3)))
    w.file(f"{w.name()}.{ext}", w.lines(2))
    return {"d": d, "ext": ext, "all": a + b, "some": a}


def nested_folders(w):
    d, (ext, other) = w.name(), pick_extensions(w, 2)
    subs = [w.name() for _ in range(w.rng.randint(2, 4))]
    count = {ext: 0, other: 0}
    for sub in subs:
        for _ in range(w.rng.randint(1, 3)):
            extension = w.rng.choice([ext, ext, other])
            count[extension] += 1
            w.file(f"{d}/{sub}/{w.name()}.{extension}", w.lines(1))
    for extension in (ext, other):
        count[extension] += 1
        w.file(f"{d}/{w.name()}.{extension}", w.lines(2))
    w.file(f"{w.name()}.{ext}", w.lines(2))
    return {"d": d, "ext": ext, "all": sum(count.values()), "some": count[ext], "subs": len(subs)}


def one_text(w):
    n, blank = w.number(5, 60), w.rng.randint(2, 4)
    lines = w.lines(n - blank, (1, 6)).splitlines()
    for _ in range(blank):
        lines.insert(w.rng.randint(1, len(lines) - 1), "")
    text = "\n".join(lines) + "\n"
    file = w.file(f"{w.name()}.{pick_extensions(w, 1)[0]}", text)
    w.file(f"{w.name()}.txt", w.lines(3))
    return {"file": file, "lines": n, "blank": blank, "words": len(text.split())}


def several_texts(w):
    d, (ext, other) = w.name(), pick_extensions(w, 2)
    total = 0
    for _ in range(w.rng.randint(2, 4)):
        n = w.rng.randint(3, 12)
        total += n
        w.file(f"{d}/{w.name()}.{ext}", w.lines(n, (1, 4)))
    w.file(f"{d}/{w.name()}.{other}", w.lines(7))
    return {"d": d, "ext": ext, "total": total}


def repeated_word(w):
    word, n, first = w.name(), w.rng.randint(3, 7), w.rng.randint(1, 2)
    lines = [f"{w.words(2)} {word} {w.words(1)}" for _ in range(n)]
    lines += [f"{word} {w.words(3)}" for _ in range(first)] + w.lines(8).splitlines()
    w.rng.shuffle(lines)
    file = w.file(f"{w.name()}.{pick_extensions(w, 1)[0]}", "\n".join(lines) + "\n")
    return {"file": file, "word": word, "with": n + first, "first": first}


count = Family("count")
ask = count.ask
COUNT_ALL, COUNT_EXT = "find {d} -type f | wc -l", "find {d} -type f -name '*.{ext}' | wc -l"
ask(one_folder, "How many files are sitting in {d}?", COUNT_ALL, says=("{all}",))
ask(one_folder, "the .{ext} files in {d}, what do they come to in number?", COUNT_EXT, says=("{some}",))
ask(one_folder, "the {d} folder, how many files make it up?", COUNT_ALL, says=("{all}",))
ask(one_folder, "{d} - it has how many files?", COUNT_ALL, says=("{all}",))
ask(one_folder, "My question is how many of the files of {d} are {ext} files.", COUNT_EXT, says=("{some}",))
ask(nested_folders, "How many files does {d} hold in total, subfolders included?", COUNT_ALL,
    says=("{all}",))
ask(nested_folders, "count every .{ext} file anywhere below {d}", COUNT_EXT, says=("{some}",))
ask(nested_folders, "how many folders are there directly inside {d}?",
    "find {d} -mindepth 1 -maxdepth 1 -type d | wc -l", says=("{subs}",))
ask(one_text, "How long is {file}, counted in lines?", "wc -l < {file}", says=("{lines}",))
ask(one_text, "the line count that {file} arrives at, please", "wc -l < {file}", says=("{lines}",))
ask(one_text, "{file} runs over how many lines, can you say?", "wc -l < {file}",
    says=("{lines}",))
ask(one_text, "`{file}` runs to how many lines?", "wc -l < {file}", says=("{lines}",))
ask(one_text, "how many of the lines in {file} are empty?", "grep -c '^$' {file}",
    says=("{blank}",))
ask(several_texts, "how many lines do all the .{ext} files in {d} add up to?",
    "cat {d}/*.{ext} | wc -l", says=("{total}",))
ask(one_text, "how many words did I write in {file}", "wc -w < {file}", says=("{words}",))
ask(one_text, "the word count that {file} has, what is it?", "wc -w < {file}", says=("{words}",))
ask(one_text, "I'd like the total word count of \"{file}\"", "wc -w < {file}", says=("{words}",))
ask(one_text, "{file} has a number of words; which number?", "wc -w < {file}", says=("{words}",))
ask(repeated_word, "how many lines of {file} have {word} in them?", "grep -c {word} {file}",
    says=("{with}",))
ask(repeated_word, "lines of {file} beginning with {word}: how many are there?", "grep -c '^{word}' {file}",
    says=("{first}",))


# --- finding ------------------------------------------------------------------------------------

def deep_tree(w):
    ext, *others = pick_extensions(w, 3)
    folders = [w.name() for _ in range(3)]
    folders += [f"{folders[0]}/{w.name()}", f"{folders[1]}/{w.name()}"]
    for folder in folders:
        for _ in range(w.rng.randint(1, 2)):
            w.file(f"{folder}/{w.name()}.{w.rng.choice(others)}", w.lines(2))
    folder = w.rng.choice(folders)
    file = f"{w.name()}.{ext}"
    w.file(f"{folder}/{file}", w.lines(3))
    return {"file": file, "stem": file.split(".")[0], "path": f"{folder}/{file}", "folder": folder,
            "ext": ext, "deep": folders[3], "deep_name": folders[3].split("/")[1],
            "others": [p for p in w.files if p != f"{folder}/{file}"]}


def by_kind(w):
    d, (ext, *others) = w.name(), pick_extensions(w, 3)
    prefix = w.name()
    wanted, rest, prefixed = [], [], []
    for i in range(w.rng.randint(3, 4)):
        folder = d if i % 2 else f"{d}/{w.name()}"
        wanted.append(f"{w.name()}.{ext}")
        w.file(f"{folder}/{wanted[-1]}", w.lines(1))
    for _ in range(3):
        rest.append(f"{w.name()}.{w.rng.choice(others)}")
        w.file(f"{d}/{rest[-1]}", w.lines(1))
    for _ in range(2):
        prefixed.append(f"{prefix}-{w.number(10, 99)}.{w.rng.choice(others)}")
        w.file(f"{d}/{prefixed[-1]}", w.lines(1))
    return {"d": d, "ext": ext, "wanted": wanted, "rest": rest + prefixed, "prefix": prefix,
            "prefixed": prefixed, "unprefixed": wanted + rest}


def empty_one(w):
    d = w.name()
    names = [f"{w.name()}.{e}" for e in pick_extensions(w, 5)]
    for name in names:
        w.file(f"{d}/{name}", w.lines(w.rng.randint(1, 4)))
    w.files[f"{d}/{names[2]}"] = ""
    w.folders.add(hollow := w.name())
    w.file(f"{w.name()}/{w.name()}.txt", w.lines(1))
    return {"d": d, "file": names[2], "names": names, "hollow": hollow,
            "folders": [d] + [p.split("/")[0] for p in w.files if not p.startswith(d)]}


find = Family("find")
ask = find.ask
WHERE = "find . -name '{file}'"
ask(deep_tree, "Any idea where {file} went?", WHERE, says=("{folder}",))
ask(deep_tree, "I can't find {file} anymore, which folder is it in?", WHERE, says=("{folder}",))
ask(deep_tree, "I lost track of {file}, where does it live now?", WHERE, says=("{path}",))
ask(deep_tree, "what is the full path of {file} in this project", WHERE, says=("{path}",))
ask(deep_tree, "{file} must be somewhere in here. Where?", WHERE, says=("{path}",))
ask(deep_tree, "I lost track of the file called {file}, help me to it.", WHERE, says=("{path}",))
ask(by_kind, "list all the .{ext} files in this project", "find . -name '*.{ext}'",
    says=("@wanted",), lacks=("@rest",))
ask(by_kind, "which files in here end in .{ext}?", "find . -name '*.{ext}'", says=("@wanted",),
    lacks=("@rest",))
ask(by_kind, "I want to see all the .{ext} files that {d} has anywhere inside.", "find {d} -name '*.{ext}'",
    says=("@wanted",), lacks=("@rest",))
ask(by_kind, "which files in {d} have a name that begins with {prefix}?",
    "find {d} -name '{prefix}*'", says=("@prefixed",), lacks=("@unprefixed",))
ask(deep_tree, "there is a file with {stem} in its name, where did I put it?",
    "find . -name '*{stem}*'", says=("{path}",))
ask(deep_tree, "in which place is the folder {deep_name}?", "find . -type d -name '{deep_name}'",
    says=("{deep}",))
ask(deep_tree, "Do I have a .{ext} file anywhere? If so, give me its path.",
    "find . -name '*.{ext}'", says=("{path}",), lacks=("@others",))
ask(empty_one, "one of the files in {d} is empty. which?", "find {d} -type f -empty",
    pick=("{file}", "@names"))
ask(empty_one, "find the folder that has nothing in it", "find . -type d -empty",
    pick=("{hollow}", "@folders"))


# --- searching text -----------------------------------------------------------------------------

def needle(w):
    d, word, ext = w.name(), w.name(), pick_extensions(w, 1)[0]
    paths = [f"{d}/{w.name()}.{ext}" for _ in range(3)]
    paths += [f"{d}/{w.name()}/{w.name()}.{ext}", f"{w.name()}.{ext}"]
    for path in paths:
        w.file(path, w.lines(w.rng.randint(4, 9)))
    path, other = w.rng.sample(paths[:4], 2)
    lines = w.files[path].splitlines()
    at, mark = w.rng.randint(1, len(lines) - 1), w.name()
    lines[at] = f"{w.words(1)} {word} {mark}"
    w.files[path] = "\n".join(lines) + "\n"
    return {"d": d, "word": word, "path": path, "file": path.split("/")[-1], "line": lines[at],
            "mark": mark, "number": at + 1, "paths": [p.split("/")[-1] for p in paths],
            "other": other, "absent": w.name()}


def many_needles(w):
    facts = needle(w)
    w.files[facts["other"]] += f"{w.words(2)} {facts['word']}\n"
    hits = [facts["path"].split("/")[-1], facts["other"].split("/")[-1]]
    return facts | {"hits": hits, "misses": [p for p in facts["paths"] if p not in hits]}


def shell_sources(w):
    d, func = w.name(), w.name().replace("-", "_")
    names = [f"{w.name()}.sh" for _ in range(4)]
    for name in names:
        own = w.name().replace("-", "_")
        w.file(f"{d}/{name}", f"#!/bin/bash\n{own}() {{\n  echo {w.word()}\n}}\n{own}\n")
    w.files[f"{d}/{names[0]}"] += f"{func}() {{\n  echo {w.word()}\n}}\n"
    w.files[f"{d}/{names[1]}"] += f". {d}/{names[0]}\n{func} {w.word()}\n"
    w.files[f"{d}/{names[2]}"] += f"# TODO: {w.words(3)}\n"
    return {"d": d, "func": func, "defined": names[0], "used": names[1], "todo": names[2],
            "names": names}


search = Family("search")
ask = search.ask
GREP = "grep -rl {word} ."
ask(needle, "Which file talks about {word}?", GREP, pick=("{file}", "@paths"))
ask(needle, "search everything for {word} and tell me the file", GREP, pick=("{file}", "@paths"))
ask(needle, "where does the word {word} show up?", GREP, pick=("{file}", "@paths"))
ask(needle, "grep the whole folder for {word}, which file has it", GREP,
    pick=("{file}", "@paths"))
ask(needle, "let me see the line where {word} stands", "grep -rh {word} .", says=("{line}",))
ask(needle, "{word} occurs once in {path}; give me the number of that line", "grep -n {word} {path} | cut -d: -f1",
    says=("{number}",))
ask(needle, "at what line number does {word} turn up in {path}?",
    "grep -n {word} {path} | cut -d: -f1", says=("{number}",))
ask(needle, "is {word} mentioned anywhere in {d}? where?", GREP, pick=("{file}", "@paths"))
ask(needle, "does any file in here contain the word {absent}?",
    "grep -rl {absent} . || echo no file has it", means="none", lacks=("@paths",))
ask(many_needles, "Name the files in which {word} turns up.", GREP, says=("@hits",), lacks=("@misses",))
ask(many_needles, "list the files under {d} with the text \"{word}\"", "grep -rl {word} {d}",
    says=("@hits",), lacks=("@misses",))
ask(many_needles, "{word} is found in how many files all told?", GREP + " | wc -l", says=("2",))
ask(shell_sources, "which script holds the definition of the function {func}?", "grep -rl '{func}()' .",
    pick=("{defined}", "@names"))
ask(shell_sources, "which of my scripts still has a TODO comment?", "grep -rl TODO .",
    pick=("{todo}", "@names"))
ask(needle, "what stands behind {word} on its line in {path}?",
    "sed -n 's/.*{word} //p' {path}", says=("{mark}",))


# --- largest ------------------------------------------------------------------------------------

def sizes(w, nested=True):
    d, (ext, other) = w.name(), pick_extensions(w, 2)
    paths = [f"{d}/{w.name()}.{ext if i % 2 else other}" for i in range(4)]
    if nested:
        paths.append(f"{d}/{w.name()}/{w.name()}.{ext}")
    for path, step in zip(paths, w.rng.sample(range(1, 9), len(paths))):
        w.file(path, (w.words(10) + "\n") * step + w.lines(step * 3, (1, 3)))
    paths.sort(key=lambda p: -len(w.files[p]))
    names = [os.path.basename(p) for p in paths]
    return {"d": d, "ext": ext, "names": names, "big": names[0], "second": names[1],
            "rest": names[2:], "small": names[-1], "bytes": len(w.files[paths[0]]),
            "big_ext": [n for n in names if n.endswith(ext)][0], "a": paths[-1], "b": paths[-2]}


def flat_sizes(w):
    return sizes(w, nested=False)


def line_counts(w):
    d = w.name()
    names = [f"{w.name()}.{e}" for e in pick_extensions(w, 4)]
    for name, n in zip(names, w.rng.sample([3, 6, 11, 17, 25], 4)):
        w.file(f"{d}/{name}", w.lines(n, (2, 3)))
    by_lines = sorted(names, key=lambda n: -w.files[f"{d}/{n}"].count("\n"))
    return {"d": d, "names": names, "longest": by_lines[0]}


largest = Family("largest")
ask = largest.ask
BIG = "find {d} -type f -printf '%s %f\\n' | sort -rn | head -1 | cut -d' ' -f2"
ask(flat_sizes, "Nothing in {d} is bigger than which file?", BIG, pick=("{big}", "@names"))
ask(flat_sizes, "which file in {d} takes up the most space", BIG, pick=("{big}", "@names"))
ask(sizes, "find the largest file in this whole tree", BIG, pick=("{big}", "@names"))
ask(sizes, "among the .{ext} files, the largest is called what?",
    "find . -name '*.{ext}' -printf '%s %f\\n' | sort -rn | head -1 | cut -d' ' -f2",
    pick=("{big_ext}", "@names"))
ask(sizes, "Name the heaviest file anywhere under {d}.", BIG, pick=("{big}", "@names"))
ask(flat_sizes, "which file of {d} is the largest, and how many bytes is it?",
    "ls -lS {d} | awk 'NR==2 {print $NF, $5}'", says=("{bytes}",), pick=("{big}", "@names"))
ask(flat_sizes, "what are the two biggest files in {d}?", "ls -S {d} | head -2",
    says=("{big}", "{second}"), lacks=("@rest",))
ask(flat_sizes, "which one is the smallest file in {d}?", "ls -Sr {d} | head -1",
    pick=("{small}", "@names"))
ask(line_counts, "line-wise, which file is the longest one of {d}?",
    "wc -l {d}/* | sort -rn | sed -n '2s/.* //p'", pick=("{longest}", "@names"))
ask(sizes, "biggest file below {d} including its subfolders, please", BIG,
    pick=("{big}", "@names"))
ask(flat_sizes, "I want to free some space. Which single file in {d} is the largest?", BIG,
    pick=("{big}", "@names"))
ask(flat_sizes, "{a}, {b}: tell me the bigger of the two", "ls -S {a} {b} | head -1", pick=("{b}", "{a}"))


# --- newest -------------------------------------------------------------------------------------

def ages(w, nested=False):
    d, (ext, other) = w.name(), pick_extensions(w, 2)
    paths = [f"{d}/{w.name()}.{ext if i % 2 else other}" for i in range(5)]
    if nested:
        paths += [f"{d}/{w.name()}/{w.name()}.{ext}" for _ in range(2)]
    for path, age in zip(paths, w.rng.sample(range(1, 40), len(paths))):
        w.file(path, w.lines(w.rng.randint(1, 5)), age=age * 50_000)
    paths.sort(key=lambda p: w.ages[p])
    names = [os.path.basename(p) for p in paths]
    return {"d": d, "ext": ext, "names": names, "new": names[0], "second": names[1],
            "rest": names[2:], "old": names[-1], "a": paths[-1], "b": paths[-2],
            "new_ext": [n for n in names if n.endswith(ext)][0]}


def nested_ages(w):
    return ages(w, nested=True)


newest = Family("newest")
ask = newest.ask
NEW = "find . -type f -printf '%T@ %f\\n' | sort -rn | head -1 | cut -d' ' -f2"
ask(ages, "The last change in {d} was to which file?", NEW, pick=("{new}", "@names"))
ask(ages, "in {d}, which file is the newest one", NEW, pick=("{new}", "@names"))
ask(ages, "most recent .{ext} file in {d}?", "ls -t {d}/*.{ext} | head -1 | xargs basename",
    pick=("{new_ext}", "@names"))
ask(nested_ages, "which file did I edit most recently?", NEW, pick=("{new}", "@names"))
ask(nested_ages, "the latest file under {d}, subfolders too: what is it?", NEW,
    pick=("{new}", "@names"))
ask(ages, "the oldest file that {d} holds is which one?", "ls -tr {d} | head -1",
    pick=("{old}", "@names"))
ask(ages, "what in {d} has been lying around unchanged the longest? name the file",
    "ls -tr {d} | head -1", pick=("{old}", "@names"))
ask(ages, "which was modified later, {a} or {b}?", "ls -t {a} {b} | head -1",
    pick=("{b}", "{a}"))
ask(ages, "I saved something in {d} a moment ago. Which file is the last modified one?", NEW,
    pick=("{new}", "@names"))
ask(nested_ages, "look through all of {d} and find the newest file", NEW, pick=("{new}", "@names"))
ask(ages, "what are the two most recently modified files in {d}?", "ls -t {d} | head -2",
    says=("{new}", "{second}"), lacks=("@rest",))
ask(ages, "newest file ending in .{ext}?", "ls -t {d}/*.{ext} | head -1 | xargs basename",
    pick=("{new_ext}", "@names"))


# --- disk use -----------------------------------------------------------------------------------

def weights(w):
    d, (ext, other) = w.name(), pick_extensions(w, 2)
    total = some = 0
    for i in range(w.rng.randint(3, 5)):
        size = w.number(100, 4000)
        text = (w.lines(size // 4) * 2)[:size - 1] + "\n"
        path = w.file(f"{d}/{w.name()}.{other if i else ext}", text)
        total += len(text)
    extra = w.file(f"{d}/{w.name()}.{ext}", w.lines(6))
    total += len(w.files[extra])
    some = sum(len(t) for p, t in w.files.items() if p.endswith("." + ext))
    # `du -sb` adds what the file system says for the folder itself.
    return {"d": d, "ext": ext, "file": path, "bytes": len(w.files[path]), "some": some,
            "total": total, "sums": [total, total + 4096]}


def heavy_folders(w):
    top, names, size = w.name(), [], 2
    for _ in range(4):
        folder = w.name()
        names.append(folder)
        for _ in range(2):
            w.file(f"{top}/{folder}/{w.name()}.dat", (w.words(12) + "\n") * size * 60)
        size *= 2
    return {"d": top, "names": names, "big": names[-1], "a": f"{top}/{names[1]}",
            "b": f"{top}/{names[2]}"}


disk = Family("disk")
ask = disk.ask
SUM = "find {d} -type f -printf '%s\\n' | awk '{s += $1} END {print s}'"
HEAVY = "du -s {d}/* | sort -rn | head -1 | sed 's/.*[/]//'"
ask(weights, "Added together, the files of {d} occupy how many bytes?", SUM, any_of=("@sums",))
ask(weights, "all of {d} taken together is how many bytes?", SUM, any_of=("@sums",))
ask(weights, "put the folder {d} on the scales: how many bytes?", SUM, any_of=("@sums",))
ask(weights, "exactly how big, in bytes, has {file} become?", "stat -c %s {file}", says=("{bytes}",))
ask(weights, "exact size of {file}, in bytes please", "stat -c %s {file}", says=("{bytes}",))
ask(weights, "{file} weighs how many bytes?", "wc -c < {file}", says=("{bytes}",))
ask(heavy_folders, "which folder uses more space, {a} or {b}?",
    "du -s {a} {b} | sort -rn | head -1 | cut -f2", pick=("{b}", "{a}"))
ask(heavy_folders, "the folders in {d}: which one is the biggest of them?", HEAVY, pick=("{big}", "@names"))
ask(weights, "how much space do the .{ext} files in {d} need? I want bytes.",
    "cat {d}/*.{ext} | wc -c", says=("{some}",))
ask(weights, "sum up the sizes of all files under {d} (bytes)", SUM, any_of=("@sums",))
ask(heavy_folders, "the most disk space under {d} goes to which subfolder?", HEAVY,
    pick=("{big}", "@names"))
ask(weights, "How big is the whole {d} folder? Exact number of bytes.", SUM, any_of=("@sums",))


# --- reading a value ----------------------------------------------------------------------------

def settings(w, kind, value=None, key=None, section=None):
    """A settings file with the key in two sections; the wanted one is in `section`."""
    key, section, other = key or w.name(), section or w.name(), w.name()
    key = key.replace("-", "_")
    value = w.name() if value is None else value
    decoy = w.name() if isinstance(value, str) else (not value if isinstance(value, bool)
                                                     else w.number(1000, 9999))
    blocks = [(section, [(key, value), (w.word(), w.name())]),
              (other, [(w.word(), w.number(10, 99)), (key, decoy)])]
    w.rng.shuffle(blocks)
    return finish(w, kind, blocks, key, section, value, decoy)


def flat_settings(w, kind, value=None, key=None):
    key = (key or w.name()).replace("-", "_")
    value = w.name() if value is None else value
    pairs = [(w.word(), w.name()), (w.word(), w.number(10, 99)), (key, value),
             (w.word(), w.name())]
    w.rng.shuffle(pairs)
    return finish(w, kind, [("", pairs)], key, "", value, pairs[0][1])


def finish(w, kind, blocks, key, section, value, decoy):
    d = w.name()
    show = {"json": json_text, "toml": toml_text, "ini": ini_text}[kind]
    file = w.file(f"{d}/{w.name()}.{kind}", show(blocks))
    w.file(f"{d}/{w.name()}.txt", w.lines(3))
    return {"d": d, "file": file, "key": key, "section": section, "value": plain(value),
            "decoy": plain(decoy)}


def plain(value):
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value


def quoted(value):
    return f'"{value}"' if isinstance(value, str) else plain(value)


def json_text(blocks):
    def body(pairs, indent):
        return ",\n".join(f'{indent}"{k}": {quoted(v)}' for k, v in pairs)
    if blocks[0][0] == "":
        return "{\n" + body(blocks[0][1], "  ") + "\n}\n"
    parts = [f'  "{name}": {{\n{body(pairs, "    ")}\n  }}' for name, pairs in blocks]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def toml_text(blocks, show=quoted):
    parts = []
    for name, pairs in blocks:
        parts.append((f"[{name}]\n" if name else "") +
                     "".join(f"{k} = {show(v)}\n" for k, v in pairs))
    return "\n".join(parts)


def ini_text(blocks):
    return toml_text(blocks, show=plain)


def scene(make, *args, **kwargs):
    """A settings scene with fixed arguments; callables are asked for a value in this world."""
    def stage(w):
        return make(w, *args, **{k: v(w) if callable(v) else v for k, v in kwargs.items()})
    return stage


def port(w):
    return w.number(1024, 60000)


def version(w):
    return ".".join(str(w.rng.randint(0, 20)) for _ in range(3))


def address(w):
    return f"{w.name()}.example.net"


read = Family("read")
ask = read.ask
FLAT = "grep -w {key} {file} | sed 's/.*[:=] *//; s/[\",]//g'"
IN = "grep -A9 '\\b{section}\\b' {file} | grep -w -m1 {key} | sed 's/.*[:=] *//; s/[\",]//g'"
value, no_decoy = ("{value}",), ("{decoy}",)
ask(scene(flat_settings, "json"), "what has been chosen for {key} over in {file}?", FLAT, says=value)
ask(scene(flat_settings, "ini"), "read me the value of {key} out of {file}", FLAT, says=value)
ask(scene(flat_settings, "toml"), "{file} names a {key}. which one?", FLAT, says=value)
ask(scene(settings, "json"), "In {file}, what's the {key} of {section}?", IN, says=value,
    lacks=no_decoy)
ask(scene(settings, "toml"), "I need {section}.{key} from {file}, please look it up", IN, says=value,
    lacks=no_decoy)
ask(scene(flat_settings, "toml", key="port", value=port), "what port is configured in {file}",
    FLAT, says=value)
ask(scene(flat_settings, "json", key="version", value=version), "tell me the version in {file}",
    FLAT, says=value)
ask(scene(flat_settings, "ini"), "what does {file} have to say on {key}?", FLAT, says=value)
ask(scene(settings, "ini"), "get me {key} from the [{section}] section of {file}", IN,
    says=value, lacks=no_decoy)
ask(scene(settings, "json", value=port), "{file}: what's under {section} for {key}?", IN,
    says=value, lacks=no_decoy)
ask(scene(settings, "toml", value=port),
    "what is the value for {key} in section {section} of {file}?", IN, says=value, lacks=no_decoy)
ask(scene(flat_settings, "json", value=lambda w: w.rng.random() < 0.5),
    "{file} has {key}: is it true or is it false?", FLAT, pick=("{value}", "true", "false"))
ask(scene(flat_settings, "toml", key="host", value=address), "which host is in {file}?", FLAT,
    says=value)
ask(scene(flat_settings, "json", key="name"), "What name does {file} give the project?", FLAT,
    says=value)
ask(scene(flat_settings, "ini", key="timeout", value=lambda w: w.number(100, 900)),
    "how many seconds is the timeout in {file}", FLAT, says=value)
ask(scene(settings, "ini", section="database", key="user"),
    "who is the database user according to {file}", IN, says=value, lacks=no_decoy)
ask(scene(flat_settings, "json"), "open {file} and tell me what {key} is", FLAT, says=value)
ask(scene(flat_settings, "ini"),
    "there is a setting called {key} in one of the files in {d}. what is its value?",
    "grep -rhw {key} {d} | sed 's/.*[:=] *//'", says=value)

FAMILIES = [count, find, search, largest, newest, disk, read]
