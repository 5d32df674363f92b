// The schema of a tool comes from strangers: a grammar is made of any, there is always a way to go
// on and to an end, and what is said on it is read back as a call without a problem. The first byte
// of the input chooses the format; then comes the schema, a zero byte, and what is offered.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/error.h"
#include "model/text/call_grammar.h"
#include "model/text/chat_format.h"
#include "model/text/json_field.h"
#include "model/text/json_text.h"
#include "model/text/messages.h"

using namespace corvid::model;

namespace {

constexpr int kMaxBytes = 4000;  // of a reply

void check(bool holds) {
  if (!holds) std::abort();
}

std::vector<std::shared_ptr<const ChatFormat>> all_formats() {
  std::vector<std::shared_ptr<const ChatFormat>> formats;
  for (std::string_view name : ChatFormat::names()) formats.push_back(ChatFormat::named(name));
  return formats;
}

// Takes `offered` where it is legal, the next legal byte otherwise.
char go_on(const CallGrammar& grammar, CallGrammar::State& state, std::uint8_t offered) {
  for (int tries = 0; tries < 256; ++tries, ++offered) {
    CallGrammar::State next = state;
    if (!grammar.step(next, offered)) continue;
    state = next;
    return static_cast<char>(offered);
  }
  std::abort();  // there is always a way on
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto formats = all_formats();
  if (size < 1) return 0;
  const ChatFormat& format = *formats[data[0] % formats.size()];
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view schema = input.substr(0, input.find('\0'));
  const std::string_view offered = input.substr(std::min(input.size(), schema.size() + 1));
  std::vector<ToolSpec> tools;
  try {
    const JsonDocument document(schema);
    tools.push_back({"tool", "", read_schema(document.root())});
  } catch (const ModelError&) {
    return 0;
  }
  const CallGrammar grammar(format.syntax(), tools, Thinking::off);
  CallGrammar::State state = grammar.start();
  std::string text;
  for (char c : format.syntax().calls().commitment) {
    check(grammar.step(state, static_cast<std::uint8_t>(c)));
    text += c;
  }
  for (int i = 0; i < kMaxBytes && state.mode != CallGrammar::Mode::closed; ++i) {
    const bool is_said = static_cast<std::size_t>(i) < offered.size();
    text += go_on(grammar, state, static_cast<std::uint8_t>(is_said ? offered[i] : 0));
  }
  if (!grammar.may_end(state)) return 0;
  const auto parser = format.parser(Thinking::off, tools);
  for (const Piece& piece : format.syntax().pieces(text)) {
    piece.special ? parser->feed_special(piece.text) : parser->feed(piece.text);
  }
  for (const ToolCall& call : parser->finish(Stop::end).calls) {
    check(call.problem.empty());
    json_members(call.arguments);
  }
  return 0;
}
