// Any bytes as a reply of a model, in every chat format: the same outcome in any portions, valid
// UTF-8, calls whose arguments are objects and were told part by part. The first byte chooses the
// format and the mode, the second the portions; bytes from F8 on are the format's special tokens.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/text/chat_format.h"
#include "model/text/json_text.h"
#include "model/text/utf8.h"

using namespace corvid::model;

namespace {

const std::vector<ToolSpec> kTools = {
    {"shell", "", R"({"properties": {"command": {"type": "string"}, "n": {"type": "integer"}}})"}};

void check(bool holds) {
  if (!holds) std::abort();
}

Turn read(const ChatFormat& format, std::string_view text, Thinking thinking, std::size_t portion) {
  const auto parser = format.parser(format.thinking(thinking, {}), kTools);
  const auto& marks = format.syntax().marks();
  Delta told;
  while (!text.empty()) {
    if (is_mark(text[0])) {
      const std::size_t i = static_cast<std::uint8_t>(text[0]) - kFirstMark;
      told += parser->feed_special(i < marks.size() ? marks[i] : "</think>");
      text.remove_prefix(1);
      continue;
    }
    std::string_view now = text.substr(0, portion);
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (is_mark(now[i])) now = now.substr(0, i);
    }
    told += parser->feed(now);
    text.remove_prefix(now.size());
  }
  Turn turn = parser->finish(Stop::end);
  for (std::size_t i = 0; i < turn.calls.size(); ++i) {
    check(i < told.calls.size() && told.calls[i].call == i);
    check(told.calls[i].name == turn.calls[i].name);
    if (turn.calls[i].problem.empty()) check(told.calls[i].arguments == turn.calls[i].arguments);
  }
  return turn;
}

std::vector<std::shared_ptr<const ChatFormat>> all_formats() {
  std::vector<std::shared_ptr<const ChatFormat>> formats;
  for (std::string_view name : ChatFormat::names()) formats.push_back(ChatFormat::named(name));
  return formats;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto formats = all_formats();
  if (size < 2) return 0;
  const Thinking thinking = data[0] & 1 ? Thinking::on : Thinking::off;
  const ChatFormat& format = *formats[(data[0] >> 1) % formats.size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Turn whole = read(format, text, thinking, text.size());
  const Turn parts = read(format, text, thinking, 1 + data[1] % 16);
  check(whole.stop == parts.stop && whole.problem == parts.problem);
  check(whole.reasoning == parts.reasoning && whole.content == parts.content);
  check(whole.calls == parts.calls);
  check(is_utf8(whole.reasoning) && is_utf8(whole.content));
  for (const ToolCall& call : whole.calls) json_members(call.arguments);
  return 0;
}
