"""How people ask: a tiny template language, wrappers, synonyms and noise.

A template has `(a|b|c)` for a choice, `[x]` for an optional part and `{slot}` for a value. A chore names what it wants in
up to four moods and `ask` turns one of them into a message:
  do  "count the files in {d}"            imperative
  q   "how many files are in {d}"         question
  np  "the number of files in {d}"        noun phrase
  iq  "how many files there are in {d}"   indirect question
"""
import glob
import os
import re

SYNONYMS = [
    (r"\bfolder\b", ["folder", "folder", "directory", "dir"]), (r"\bfolders\b", ["folders", "folders", "directories", "dirs"]),
    (r"\bfile\b", ["file", "file", "file", "file", "document"]),
    (r"\bcontains\b", ["contains", "has", "includes", "holds", "mentions"]),
    (r"\bcontaining\b", ["containing", "with", "that contain", "including", "mentioning"]),
    (r"\btext\b", ["text", "string", "phrase", "word", "words"]),
    (r"\blargest\b", ["largest", "biggest", "largest"]), (r"\bnewest\b", ["newest", "latest", "most recent"]),
    (r"\bshow\b(?! me)", ["show", "show me", "print", "display", "give me", "list"]),
    (r"\bcreate\b", ["create", "make", "create", "add", "set up"]),
    (r"\bdelete\b", ["delete", "remove", "erase", "get rid of", "rm"]),
    (r"\bchange\b(?= (?:\{|the|all|every))", ["change", "change", "switch", "turn"]),
    (r"(?<!to )\bcheck\b(?! out| in|,)", ["check", "look up", "see", "verify", "determine"]),
    (r"(?<!I )(?<!you )(?<!we )\bfind\b(?! out)", ["find", "find", "locate", "look for", "search for"]),
    (r"\bthe number of\b", ["the number of", "the count of", "the amount of", "the total number of", "the quantity of"]),
    (r"\bhow many\b", ["how many", "how many", "what number of"]),
    (r"\b[Ww]hich\b(?= (?:files?|folders?|lines?|branch|values?|tests?|commits?|scripts?|word)\b)", ["which", "what"]),
    (r"\bevery\b(?! single)", ["every", "each"]), (r"\beach\b", ["each", "every"]),
    (r"\bin total\b", ["in total", "altogether", "all in all", "overall", "together"]),
    (r"\bnamed\b", ["named", "called", "by the name of"]), (r"\bcalled\b", ["called", "named", "by the name of"]),
    (r"\bmove\b", ["move", "move", "shift", "relocate", "transfer"]), (r"\bput\b(?!.*\bright\b)", ["put", "place"]),
    (r"(?<!\ba )(?<!the )\bfix\b", ["fix", "repair", "correct", "mend"]), (r"\brepair\b", ["repair", "fix", "correct"]),
    (r"(?<!\ba )(?<!the )(?<!test )(?<!last )\brun\b", ["run", "run", "execute", "start", "launch"]), (r"\bcount\b(?= (?:the|all|how|every))", ["count", "count", "tally", "work out"]),
    (r"\breplace\b(?=.*\b(?:by|with)\b)", ["replace", "replace", "exchange", "swap"]),
    (r"\bswap\b(?! out)(?=.*\b(?:by|with|for)\b)", ["swap", "exchange", "replace"]),
    (r"\btell me\b", ["tell me", "tell me", "let me know", "say", "inform me"]), (r"\bgive me\b", ["give me", "give me", "get me", "hand me", "let me have"]),
    (r"\bcurrently\b", ["currently", "at the moment", "right now", "now"]), (r"\bright now\b", ["right now", "at present", "currently"]),
    (r"\bsame\b", ["same", "identical"]), (r"\bat the end\b", ["at the end", "right at the end", "at the bottom", "as the last thing"]),
    (r"\bat the (?:top|start|beginning)\b", ["at the top", "at the start", "at the beginning", "at the very top", "up front"]),
    (r"\bI(?:'d| would) like\b", ["I'd like", "I would like", "I want", "I'd love", "I wish"]),
    (r"\bthere (?:is|exists)\b(?= (?:a|an|no)\b)", ["there is", "there's", "there exists", "we have", "you find"]),
]
WRAP = {
    "do": ["{}", "{}", "{}", "{}", "please {}", "{} please", "{}, please", "can you {}?", "could you {}?", "could you please {}?",
           "would you {}?", "I (want|need|would like|'d like) you to {}", "I need to {}", "help me {}", "go ahead and {}", "now {}",
           "your task: {}", "task: {}", "just {}", "kindly {}", "let's {}", "your job is to {}", "you should {}", "next, {}",
           "I want to {}", "quickly {}", "{} for me", "{} (thanks|thank you|thx)", "hey, {}", "hi, {}", "ok, {}", "can u {}",
           "would you mind if I asked you to {}?", "it would be (great|nice) if you could {}", "{}, (would|could) you?", "try to {}",
           "TODO: {}", "we need to {}", "(mind|be so kind as) to {}?", "make sure to {}", "i'd appreciate it if you'd {}"],
    "q": ["{}?", "{}?", "{}?", "{}", "so {}?", "{}? thanks", "quick question: {}?", "hey, {}?", "hi! {}?", "{} please?", "question: {}?",
          "please answer: {}?", "tell me: {}?", "I was wondering, {}?", "and {}?", "by the way, {}?", "{}, do you know?",
          "can you tell me, {}?", "any idea {}?", "ok, {}?"],
    "np": ["what is {}?", "what's {}?", "give me {}", "tell me {}", "show me {}", "I need {}", "find {}", "get {}", "report {}",
           "print {}", "(find|figure|work) out {}", "please (give|tell) me {}", "can you (give|tell) me {}?", "{}?", "{}, please",
           "I'd like to know {}", "let me know {}", "check {}", "could you (check|report|find|get) {}?", "return {}",
           "I want {}", "I want to know {}", "determine {}", "output {}", "look up {}", "do you know {}?", "what would be {}?",
           "identify {}", "state {}", "I'm (looking for|after|interested in) {}", "say {}", "name {}"],
    "iq": ["tell me {}", "find out {}", "check {}", "can you tell me {}?", "could you (check|tell me|find out|see) {}?", "I wonder {}",
           "let me know {}", "I'd like to know {}", "please (check|tell me) {}", "I need to know {}", "show me {}", "see {}", "report {}",
           "determine {}", "do you know {}?", "(figure|work) out {}", "I want to know {}", "say {}", "please find out {}", "look up {}",
           "any chance you could tell me {}?", "can you see {}?", "I can't remember {}", "I forgot {}", "explain to me {}",
           "have a look and tell me {}", "I'm trying to (find out|understand|see) {}", "mind telling me {}?"],
}
PREAMBLES = ["I just came back from lunch. ", "We are cleaning this up. ", "This is for a report. ", "I'm new to this project. ",
             "Someone left a mess here. ", "I have a meeting soon. ", "My colleague asked me about this. ", "Quick one. ", "Hello! ",
             "Hi there. ", "Good morning. ", "Thanks for the help so far. ", "Another thing: ", "Ok. ", "Great. ", "Small chore: ",
             "I'm a bit confused. ", "One more. ", "We ship tomorrow. ", "It's been a while since I looked at this. ",
             "Working on a cleanup, ", "For the record, ", "Before I forget: ", "I'm preparing a handover. ", "No rush. ", "Corvid, ",
             "In this workspace, ", "Here's what I need: ", "Following up on yesterday: ", "Just checking: "]
SUFFIXES = [" Answer with just the number.", " Reply with only the name.", " Use the shell.", " Please report the result.", " Just tell me the answer.", " Thanks in advance.", " Tell me what you find.", " A short answer is fine.", " Only the name, please.", " What do you get?", " I don't need details.", " Give the exact value.", " Thanks!", " Thank you.", " Be brief.", " I only need the answer.", " Just the result please.", " Nothing else.",
            " No need to explain.", " Keep it short.", " Cheers.", " Tell me when it's done.", " That's all.", " Then stop.",
            " Reply with the result.", " Don't change anything else.", " Answer in one line.", " Let me know how it went.",
            " I need this today.", " Appreciate it."]
FILLERS = ["actually", "just", "basically", "maybe", "right now", "currently", "again", "today", "really", "simply", "exactly",
           "somehow", "also", "then", "overall", "kindly", "there", "here", "perhaps", "altogether"]


def load():
  """{key: {mood: [templates]}} of the blocks in wordings/*.txt."""
  table = {}
  for path in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wordings", "*.txt"))):
    for line in open(path, encoding="utf-8").read().splitlines():
      if line.startswith("# "):
        moods = table.setdefault(line[2:], {})
      elif line:
        mood, template = re.match(r"(?:(do|q|np|iq): )?(.*)", line).groups()
        moods.setdefault(mood or "free", []).append(template.replace("\\n", "\n"))
  return table


TABLE = load()


def expand(template, rng):
  """Resolves (a|b) and [x], innermost first."""
  while True:
    m = re.search(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]", template)
    if not m:
      return re.sub(r"  +", " ", template).strip() 
    if m.group(1) is not None:
      part = rng.choice(m.group(1).split("|"))
    else:
      part = rng.choice(m.group(2).split("|")) if rng.random() < 0.5 else ""
    template = template[:m.start()] + part + template[m.end():]


def typo(word, rng):
  if len(word) < 4 or not word.isalpha():
    return word
  i = rng.randrange(1, len(word) - 1)
  kind = rng.randrange(4)
  if kind == 0:
    return word[:i] + word[i + 1:]
  if kind == 1:
    return word[:i] + word[i + 1] + word[i] + word[i + 2:]
  if kind == 2:
    return word[:i] + word[i] + word[i:]
  return word[:i] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[i + 1:]


def noise(template, rng, words):
  """Roughens the words between the slots."""
  for pattern, choices in SYNONYMS:
    if rng.random() < 0.4:
      template = re.sub(pattern, lambda m: rng.choice(choices), template)
  roll = rng.random()
  if roll < 0.86:
    return template
  parts = [p for p in re.split(r"(\{\w+\}|\s+)", template) if p]
  out = []
  rate = rng.choice([0.04, 0.08, 0.12])
  near = lambda i: any(0 <= k < len(parts) and parts[k].startswith("{") for k in (i - 1, i - 2, i + 1, i + 2))
  for i, p in enumerate(parts):
    if p and not p.startswith("{") and not p.isspace() and rng.random() < rate:
      if roll < 0.90:
        p = typo(p, rng)
      elif roll < 0.97:
        p = "" if p in ("the", "a", "of", "me", "is", "are", "there", "to", "you", "please", "all", "that") and not near(i) else p
      elif not near(i):
        p = p + " " + rng.choice(FILLERS)
    out.append(p)
  return re.sub(r" +", " ", "".join(out)).strip()


FRONT = {"i": ["{i}, {}", "{i}: {}", "look {i}: {}", "(look|check|have a look) {i}. {}", "{i}, {}", "{i} - {}", "I'm looking {i}. {}"],
         "f": ["in {f}, {}", "in {f}: {}", "{f}: {}", "(open|take|look at|check|read|consider) {f}. {}", "the file is {f}. {}", "regarding {f}: {}", "there is {f}. {}", "for {f}, {}", "I have {f} here. {}"],
         "d": ["look at {d}. {}", "{d}: {}", "take {d}: {}", "about {d}: {}", "I am in {d}. {}"]}


def fronted(body, slots, rng):
  """Sometimes says the place first: 'in the docs folder, how many files are there'. What comes first (or "{}"), and the rest."""
  if rng.random() > 0.16:
    return "{}", body
  for slot, found in (("i", r" \{i\}"), ("f", r" (in|of|from|inside) \{f\}(?![.\w])"), ("d", r" (in|of|from) \{d\}")):
    if slots.get(slot) and len(re.findall(found, body)) == 1 and body.count("{" + slot + "}") == 1:
      rest = re.sub(found, rng.choice(["", "", " there" if slot != "f" else " in it", " in there" if slot != "f" else " in that file"]), body)
      return expand(rng.choice(FRONT[slot]), rng), rest
  return "{}", body


def sentence_case(text, rng):
  return text if rng.random() < 0.45 or not text else text[0].upper() + text[1:]


def fill(template, slots):
  return re.sub(r"\{(\w+)\}", lambda m: str(slots[m.group(1)]), template)


def ask(rng, moods, slots, words, bare=False, plain=False):
  """A message from {mood: [templates]}; with bare, an imperative clause to be joined with others.

  A slot named in slots["open"] holds text without quotes: where it ends the message, nothing but a full stop follows.
  """
  moods = {k: v for k, v in moods.items() if v}
  # A mood is drawn by its number of templates, so that a chore can weigh them.
  kinds = [k for k, v in moods.items() for _ in range(min(len(v), 80))]
  mood = rng.choice(kinds)
  body = rng.choice(moods[mood])
  for name in re.findall(r"\{(\w+)\}", body):
    if slots.get(name) == "":
      body = re.sub(r" \{%s\}(?=[ .,;:?!]|$)" % name, "", body)
  body = expand(body, rng)
  ends_open = any(body.endswith("{%s}" % x) for x in slots.get("open", ()))
  if plain:
    return fill(body, slots)
  if mood == "free":
    text = noise(body, rng, words)
    if ends_open:
      text += rng.choice(["", "", "", "."])
    elif text[-1:] not in "?.!:" and rng.random() < 0.4:
      text += "."
    elif text[-1:] in "?." and rng.random() < 0.2:
      text = text[:-1]
    if rng.random() < 0.08:
      text = rng.choice(PREAMBLES) + text
    return fill(sentence_case(text, rng), slots)
  if bare and mood == "do":
    return fill(noise(body, rng, words), slots)
  front = "{}"
  if not ends_open:
    front, body = fronted(body, slots, rng)
  wrappers = [x for x in WRAP[mood] if x.endswith("{}")] if ends_open else WRAP[mood]
  text = expand(rng.choice(wrappers), rng).replace("{}", body)
  text = front.replace("{}", text)
  text = noise(text, rng, words)
  if bare:
    return fill(text.rstrip("?"), slots)
  if mood in ("do", "np", "iq") and text[-1:] not in "?.!" and rng.random() < (0.25 if ends_open else 0.55):
    text += "." if ends_open else rng.choice([".", ".", ".", "!"])
  text = fill(sentence_case(text, rng), slots)
  if rng.random() < 0.1:
    text = rng.choice(PREAMBLES) + text
  if rng.random() < 0.1 and text[-1:] in ".?!" and not ends_open:
    text += rng.choice(SUFFIXES)
  return text
