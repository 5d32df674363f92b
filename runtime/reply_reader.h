// From the bytes of an HTTP response to a reply: events or one JSON body, merged deltas, limits.
//
// Pure: no sockets, no clock, so it is tested and fuzzed with bytes alone. Whatever the cut of the
// bytes, the reply is the same. RuntimeError when the stream cannot be read; a reply that grows
// beyond its limits is cut and complete. Any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "plugins/sse_parser.h"
#include "runtime/chat_stream.h"

namespace corvid::runtime {

struct ReplyLimits {
  int max_tokens = 0;  // 0: none
  std::size_t bytes = 2u << 20;
};

class ReplyReader {
 public:
  ReplyReader(std::string_view content_type, ReplyLimits limits);

  model::Delta feed(std::string_view bytes);
  // The connection was closed in good order; RuntimeError when the reply is not complete then.
  model::Delta end();

  bool complete() const { return was_cut_ || stream_.closed(); }
  bool answered() const { return complete() || stream_.answered(); }
  bool has_begun() const { return n_bytes_ > 0; }
  const ChatStream& stream() const { return stream_; }
  // `interrupted`: the reader stops here on its own wish.
  ChatReply finish(bool interrupted) const;

 private:
  void read(std::string_view payload, model::Delta& merged);

  ReplyLimits limits_;
  bool is_json_ = false;
  std::string body_;  // of a reply that is not streamed
  plugins::SseParser parser_;
  ChatStream stream_;
  std::size_t n_bytes_ = 0, n_raw_bytes_ = 0;
  int n_deltas_ = 0;
  bool was_cut_ = false;
};

}  // namespace corvid::runtime
