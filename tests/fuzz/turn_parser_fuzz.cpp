// Any bytes as a reply of the model: the same outcome in any portions, valid UTF-8, calls whose
// arguments are objects. The first byte chooses the mode, the second the portions.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/text/chat_format.h"
#include "model/text/json_text.h"
#include "model/text/utf8.h"

using namespace corvid::model;

namespace {

Turn read(std::string_view text, Thinking thinking, std::size_t portion) {
  static const auto format = ChatFormat::named("deepseek-v3.2");
  const auto parser = format->parser(thinking, {});
  while (!text.empty()) {
    const std::string_view now = text.substr(0, portion);
    parser->feed(now);
    text.remove_prefix(now.size());
  }
  return parser->finish(Stop::end);
}

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Thinking thinking = data[0] & 1 ? Thinking::on : Thinking::off;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Turn whole = read(text, thinking, text.size());
  const Turn parts = read(text, thinking, 1 + data[1] % 16);
  check(whole.stop == parts.stop && whole.problem == parts.problem);
  check(whole.reasoning == parts.reasoning && whole.content == parts.content);
  check(whole.calls == parts.calls);
  check(is_utf8(whole.reasoning) && is_utf8(whole.content));
  for (const ToolCall& call : whole.calls) json_members(call.arguments);
  return 0;
}
