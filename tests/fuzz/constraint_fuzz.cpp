// Any choices of a model under the grammar of calls: what it may say to the end is a block of
// well-formed calls, in every chat format. The first byte of the input chooses the format; each
// other one is offered as it is, and when the grammar refuses it, the next byte that is legal is
// taken.
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

struct Language {
  std::shared_ptr<const ChatFormat> format;
  std::unique_ptr<const CallGrammar> grammar;
};

std::vector<Language> all_languages() {
  std::vector<Language> languages;
  for (std::string_view name : ChatFormat::names()) {
    auto format = ChatFormat::named(name);
    auto grammar = std::make_unique<CallGrammar>(format->syntax(), kTools, Thinking::off);
    languages.push_back({std::move(format), std::move(grammar)});
  }
  return languages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Language> languages = all_languages();
  if (size < 1) return 0;
  const auto& [format, grammar] = languages[data[0] % languages.size()];
  const ReplySyntax& syntax = format->syntax();
  std::string text(syntax.calls().commitment);
  CallGrammar::State state = grammar->start();
  for (char c : text) check(grammar->step(state, static_cast<std::uint8_t>(c)));
  for (std::size_t i = 1; i < size && state.mode != CallGrammar::Mode::closed; ++i) {
    const auto forced = grammar->only_byte(state);
    int tries = 0;
    for (std::uint8_t byte = data[i];; ++byte, ++tries) {
      check(tries < 256);  // there is always a way on
      CallGrammar::State next = state;
      if (!grammar->step(next, byte)) continue;
      check(!forced || *forced == byte);
      state = next;
      text += static_cast<char>(byte);
      break;
    }
  }
  if (!grammar->may_end(state)) return 0;
  const auto parser = format->parser(Thinking::off, kTools);
  for (const Piece& piece : syntax.pieces(text)) {
    piece.special ? parser->feed_special(piece.text) : parser->feed(piece.text);
  }
  const Turn turn = parser->finish(Stop::end);
  check(turn.stop == Stop::calls || turn.problem.find("more than 64 calls") != std::string::npos);
  for (const ToolCall& call : turn.calls) {
    check(call.problem.empty());
    json_members(call.arguments);
  }
  return 0;
}
