"""DeepSeek-V3.2's chat layout as pieces: (text, is_special, is_sampled).

Text between two specials is one plain run and is encoded as one, exactly as the program does it.
"""
import json
import os

from tokenizer import ASSISTANT, BOS, END_THINK, EOS, THINK, USER

D = "｜DSML｜"
TOOLS_HEAD = f"""## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<{D}function_calls>" block like the following as part of your reply to the user:
<{D}function_calls>
<{D}invoke name="$FUNCTION_NAME">
<{D}parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</{D}parameter>
...
</{D}invoke>
<{D}invoke name="$FUNCTION_NAME2">
...
</{D}invoke>
</{D}function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while lists and objects should use JSON format. The "string" attribute should be set to "true" for string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider outputting a thinking block. Here is an example:

<{D}function_calls>
...
</{D}function_calls>

<function_results>
...
</function_results>

"""
TOOLS_MIDDLE = """...thinking about results"""
TOOLS_TAIL = """

Here are the functions available in JSONSchema format:
<functions>
%s
</functions>
"""


def profile():
  return json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "profile.json"), encoding="utf-8"))


def print_json(value):
  return json.dumps(value, ensure_ascii=False)


def open_pieces(system, tools):
  """Begin of sentence, system text and the tool section."""
  head = system
  if not tools:
    return [(BOS, True, False), (head, False, False)]
  head += ("\n\n" if head else "") + TOOLS_HEAD
  tail = TOOLS_TAIL % "\n".join(print_json(t) for t in tools)
  return [(BOS, True, False), (head, False, False), (THINK, True, False), (TOOLS_MIDDLE, False, False),
          (END_THINK, True, False), (tail, False, False)]


def call_text(calls):
  out = f"\n\n<{D}function_calls>\n"
  for call in calls:
    out += f'<{D}invoke name="{call["name"]}">\n'
    for key, value in call["arguments"].items():
      text, is_string = value, "true"
      if not isinstance(value, str):
        text, is_string = print_json(value), "false"
      elif f"</{D}" in value:  # would close the call: written as JSON instead
        text, is_string = print_json(value).replace("<", "\\u003c"), "false"
      out += f'<{D}parameter name="{key}" string="{is_string}">{text}</{D}parameter>\n'
    out += f"</{D}invoke>\n"
  return out + f"</{D}function_calls>"


def result_text(results):
  out = "\n\n<function_results>\n"
  for r in results:
    for tag in ("</result>", "</function_results>"):
      r = r.replace(tag, "<\\" + tag[1:])
    r = r.replace(f"<{D}", f"<\\{D}")
    out += f"<result>{r}</result>\n"
  return out + "</function_results>\n\n"


def turn_pieces(user, steps, reasoning, thinking=True, sampled=False):
  """One user turn. Each step is {"think", "content", "calls", "results"}; the last one has no calls (or is missing)."""
  out = [(USER, True, False), (user, False, False), (ASSISTANT, True, False)]
  for step in steps:
    if reasoning and thinking:
      out += [(THINK, True, False), (step["think"], False, sampled), (END_THINK, True, sampled)]
    else:
      out += [(END_THINK, True, False)]
    text = step.get("content", "")
    if step.get("calls"):
      text += call_text(step["calls"])
    out += [(text, False, sampled), (EOS, True, sampled)]
    if step.get("calls"):
      out += [(result_text(step["results"]), False, False)]
  return out


def prefix(thinking=True):
  return [(THINK if thinking else END_THINK, True, False)]


def encode(tokenizer, pieces):
  """Token ids and a 0/1 list that marks those the model samples."""
  joined = []
  for text, special, sampled in pieces:
    if joined and not special and not joined[-1][1]:
      assert joined[-1][2] == sampled or not text or not joined[-1][0]
      joined[-1] = (joined[-1][0] + text, False, sampled or joined[-1][2])
    else:
      joined.append((text, special, sampled))
  ids, own = [], []
  for text, special, sampled in joined:
    new = [tokenizer.special(text)] if special else tokenizer.encode(text)
    ids += new
    own += [int(sampled)] * len(new)
  return ids, own
