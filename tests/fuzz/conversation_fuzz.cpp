// Any bytes as a file of messages: refused with a ModelError, or rendered by every chat format.
// What it says is never a special token, so their number does not depend on it.
#include <cstdint>
#include <cstdlib>

#include "model/error.h"
#include "model/text/chat_format.h"
#include "model/text/messages.h"
#include "model/text/utf8.h"

using namespace corvid::model;

namespace {

// The special tokens of the prompt; nothing when the format cannot render such a conversation.
std::optional<int> special_pieces(const ChatFormat& format, const Conversation& talk) {
  try {
    int n = 0;
    for (const Piece& piece : format.render(talk.messages, talk.tools, talk.thinking)) {
      n += piece.special;
      if (!is_utf8(piece.text)) std::abort();
    }
    return n;
  } catch (const ModelError&) {
    return {};
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Conversation talk;
  try {
    talk = read_conversation({reinterpret_cast<const char*>(data), size});
  } catch (const ModelError&) {
    return 0;
  }
  for (std::string_view name : ChatFormat::names()) {
    const auto format = ChatFormat::named(name);
    const auto before = special_pieces(*format, talk);
    if (!before) continue;
    Conversation hostile = talk;
    for (Message& message : hostile.messages) {
      // Content that is there or not may change the frame around it.
      if (message.content.empty()) continue;
      for (std::string_view special : format->special_tokens()) message.content += special;
    }
    const auto after = special_pieces(*format, hostile);
    if (after && *after != *before) std::abort();
  }
  return 0;
}
