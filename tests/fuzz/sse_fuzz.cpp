// A server may send anything: events are the same however the bytes are cut, and a payload is
// either understood or refused with a message.
#include <cstdlib>
#include <optional>
#include <vector>

#include "plugins/sse_parser.h"
#include "runtime/chat_stream.h"
#include "runtime/error.h"
#include "runtime/remote_endpoint.h"
#include "runtime/reply_reader.h"

namespace {

using namespace corvid::runtime;
using corvid::plugins::SseEvent;
using corvid::plugins::SseParser;

std::vector<SseEvent> events(std::string_view bytes, std::size_t step) {
  SseParser parser(4096);
  std::vector<SseEvent> found;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    parser.feed(bytes.substr(at, step));
    while (auto event = parser.next()) found.push_back(*event);
  }
  parser.end();
  while (auto event = parser.next()) found.push_back(*event);
  return found;
}

// The reply of a server, read in portions; nothing when it cannot be read.
std::optional<ChatReply> reply(std::string_view bytes, const char* type, std::size_t step) {
  try {
    ReplyReader reader(type, {.max_tokens = 50, .bytes = 1000});
    for (std::size_t at = 0; at < bytes.size() && !reader.complete(); at += step) {
      reader.feed(bytes.substr(at, step));
    }
    reader.end();
    return reader.finish(false);
  } catch (const RuntimeError&) {
    return {};
  }
}

bool same(const std::optional<ChatReply>& a, const std::optional<ChatReply>& b) {
  if (!a || !b) return !a == !b;
  return a->message == b->message && a->turn.stop == b->turn.stop && a->turn.calls == b->turn.calls;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<SseEvent> whole = events(bytes, size + 1);
  if (whole != events(bytes, 1) || whole != events(bytes, 3)) std::abort();
  try {
    ChatStream stream;
    for (const SseEvent& event : whole) stream.add(event.data);
    stream.finish(corvid::model::Stop::length);
    stream.finish({});
  } catch (const RuntimeError&) {
  }
  for (const char* type : {"text/event-stream", "application/json"}) {
    if (!same(reply(bytes, type, size + 1), reply(bytes, type, 7))) std::abort();
  }
  parse_model_list(bytes);
  server_message(bytes);
  return 0;
}
