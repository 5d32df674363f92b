// Any choices of a model under the grammar of calls: what it may say to the end is a block of
// well-formed calls. Each byte of the input is offered as it is; when the grammar refuses it, the
// next byte that is legal is taken.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/text/call_grammar.h"
#include "model/text/chat_format.h"
#include "model/text/json_text.h"

using namespace corvid::model;

namespace {

const std::vector<ToolSpec> kTools = {
    {"shell", "",
     R"({"properties": {"command": {"type": "string"}, "timeout": {"type": "integer"}},
         "required": ["command"]})"},
    {"plan", "",
     R"({"properties": {"items": {"type": "array", "items": {"type": "object", "properties":
           {"text": {"type": "string"}, "state": {"enum": ["open", "done", 3, 31, null]}},
           "required": ["text"]}}, "ratio": {"type": "number"}, "any": {},
           "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "free": {"type": "object"}},
         "required": ["items"]})"},
    {"now", "", R"({"properties": {}})"},
};

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto format = ChatFormat::named("deepseek-v3.2");
  static const CallGrammar grammar(format->syntax(), kTools, Thinking::off);
  std::string text = "<｜DSML｜";
  CallGrammar::State state = grammar.start();
  for (char c : text) check(grammar.step(state, static_cast<std::uint8_t>(c)));
  for (std::size_t i = 0; i < size && state.mode != CallGrammar::Mode::closed; ++i) {
    const auto forced = grammar.only_byte(state);
    int tries = 0;
    for (std::uint8_t byte = data[i];; ++byte, ++tries) {
      check(tries < 256);  // there is always a way on
      CallGrammar::State next = state;
      if (!grammar.step(next, byte)) continue;
      check(!forced || *forced == byte);
      state = next;
      text += static_cast<char>(byte);
      break;
    }
  }
  if (state.mode != CallGrammar::Mode::closed) return 0;
  const auto parser = format->parser(Thinking::off, kTools);
  parser->feed(text);
  const Turn turn = parser->finish(Stop::end);
  check(turn.stop == Stop::calls || turn.problem.find("more than 64 calls") != std::string::npos);
  for (const ToolCall& call : turn.calls) {
    check(call.problem.empty());
    json_members(call.arguments);
  }
  return 0;
}
