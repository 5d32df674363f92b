"""Which wordings of the exam can the templates of the training data make?

A template of model/nano, from its wordings or its programs, becomes a regular expression of all
that it can say, with the generator's synonyms. A hole of the exam and a slot of a template are one word, HOLE, which may
also stand where the template says "it". The generator's frames around a clause ("can you {}?") are
taken off the exam's wordings instead of put around every template.
"""
import ast
import functools
import importlib.util
import pathlib
import re

GENERATOR = pathlib.Path(__file__).resolve().parents[2] / "model/nano"
spec = importlib.util.spec_from_file_location("phrases", GENERATOR / "phrases.py")
phrases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(phrases)

HOLE = "zz"
POINTERS = frozenset("it that this".split())
POLITE = frozenset("please thanks hey can could you for me".split())
# What the generator says for a slot: a name, which may be announced; a place or a kind of file, or
# nothing; some words of its own ("the largest", "lines").
THING = rf"(?:(?:the |my )?(?:file |folder |directory )?(?:called )?{HOLE}(?: file| folder)?)"
PLACE = rf"(?:(?:in |inside |under |of |at |within )?{THING}|here|\.{HOLE})?"
ANY = r"(?:\S+(?: \S+)?)?"
SLOTS = dict.fromkeys("ieh", PLACE) | dict.fromkeys("wmul", ANY)
MOODS = ("do", "q", "np", "iq", "free")


def normal(text):
    """Lower case, without punctuation that stands beside words, without politeness at the ends."""
    text = re.sub(r"[\"'`“”‘’]", "", text.lower())
    text = re.sub(r"[.,:;!?]+(?=\s|$)", " ", text)
    text = re.sub(r"^(please|could you|can you|hey)\s+|\s+(please|thanks|for me)\s*$", "", text)
    return " ".join(text.split())


def plain(template):
    """Lower case, without quotes and the punctuation that normal() takes away."""
    template = re.sub(r"[\"'`“”‘’]", "", template.lower())
    return re.sub(r"[.,:;!?]+(?=\s|$|[()\[\]|])", " ", template)


def pattern(template, synonyms=True):
    """The source of a regular expression for everything that a template can become."""
    text, groups = plain(template), []

    def put_aside(source):
        groups.append(f"(?:{source})")
        return f"\x01{len(groups) - 1}\x02"

    text = re.sub(r"\{(\w+)\}", lambda m: put_aside(SLOTS.get(m[1], THING)), text)
    for word, choices in phrases.SYNONYMS if synonyms else []:
        others = sorted({plain(choice) for choice in choices})
        text = re.sub(word, lambda m: put_aside("|".join(map(re.escape, [m[0], *others]))), text)
    kinds = {"(": "(?:", ")": ")", "[": "(?:", "]": ")?", "|": "|"}
    source = ""
    for piece in re.findall(r"\x01\d+\x02|\w+|\s+|.", text):
        if piece[0] == "\x01":
            source += groups[int(piece[1:-1])]
        elif piece in POINTERS:
            source += f"(?:{piece}|{HOLE})"
        else:
            source += r"\s*" if piece.isspace() else kinds.get(piece, re.escape(piece))
    return source


@functools.cache
def certain_words(template):
    """Words that a template says whatever is chosen, as they are there: not those with synonyms."""
    before = None
    while template != before:
        before, template = template, re.sub(r"\([^()\[\]]*\)|\[[^()\[\]]*\]", " ", template)
    template = re.sub(r"\{\w+\}", " ", template)
    for word, _ in phrases.SYNONYMS:
        template = re.sub(word, " ", template)
    return {w for w in plain(template).split() if w not in POINTERS | POLITE}


def unframed(texts):
    """{mood: {text without a frame of that mood: wordings}}."""
    found = {mood: {} for mood in MOODS}
    for mood, frames in phrases.WRAP.items():
        for frame in frames:
            before, after = (pattern(part, synonyms=False) for part in frame.split("{}"))
            framed = re.compile(rf"\s*{before}\s*(.+?)\s*{after}\s*")
            for text, wordings in texts.items():
                if match := framed.fullmatch(text):
                    found[mood].setdefault(match[1], set()).update(wordings)
    found["free"] = texts
    return found


def strings(node):
    """The string literals in an expression; what an f-string puts in is a slot that may be empty."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(v.value if isinstance(v, ast.Constant) else "{h}" for v in node.values)
    elif isinstance(node, ast.Constant):
        yield from [node.value] if isinstance(node.value, str) else []
    else:
        for child in ast.iter_child_nodes(node):
            yield from strings(child)


def in_programs():
    """(mood, template) of what the programs of the generator give a mood, by key, name or append."""
    for path in sorted(GENERATOR.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            given = []
            if isinstance(node, ast.Dict):
                given = [(getattr(k, "value", None), v) for k, v in zip(node.keys, node.values)]
            elif isinstance(node, ast.Call):
                given = [(keyword.arg, keyword.value) for keyword in node.keywords]
                if isinstance(getattr(node.func, "value", None), ast.Subscript):
                    key = getattr(node.func.value.slice, "value", None)
                    given += [(key, argument) for argument in node.args]
            for mood, value in given:
                if mood in MOODS:
                    for template in strings(value):
                        yield mood, template


def templates():
    """{mood: templates}."""
    found = {mood: set() for mood in MOODS}
    for mood, template in in_programs():
        found[mood].add(template)
    for moods in phrases.TABLE.values():
        for mood, some in moods.items():
            found[mood].update(some)
    return found


def shared(wordings):
    """{wording: one template that can make it}, of those which some template can."""
    texts = {}
    for wording in wordings:
        texts.setdefault(normal(re.sub(r"\{\w+\}", HOLE, wording)), set()).add(wording)
    found, all_templates = {}, templates()
    for mood, bodies in unframed(texts).items():
        words = {body: set(body.split()) for body in bodies}
        for template in sorted(all_templates[mood]):
            certain = certain_words(template)
            close = [body for body in bodies if certain <= words[body]]
            language = re.compile(rf"\s*{pattern(template)}\s*") if close else None
            for body in close:
                if language.fullmatch(body):
                    found.update(dict.fromkeys(bodies[body], template))
    return found
