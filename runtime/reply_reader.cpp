#include "runtime/reply_reader.h"

#include "runtime/error.h"

namespace corvid::runtime {
namespace {

// A token of four bytes travels in an event of some three hundred; events without any text end too.
constexpr std::size_t kRawBytesPerByte = 256;

}  // namespace

ReplyReader::ReplyReader(std::string_view content_type, ReplyLimits limits) : limits_(limits) {
  is_json_ = content_type.starts_with("application/json");
  if (!is_json_ && !content_type.empty() && !content_type.starts_with("text/event-stream") &&
      !content_type.starts_with("text/plain")) {
    throw RuntimeError("The server answers with " + std::string(content_type.substr(0, 60)) +
                           ", not with a stream of events: is this a chat-completions URL?",
                       kModelError);
  }
}

model::Delta ReplyReader::feed(std::string_view bytes) {
  model::Delta merged;
  if (is_json_) {
    body_ += bytes;
    if (body_.size() > plugins::SseParser::kEventLimitBytes) {
      throw RuntimeError("The server's answer is larger than 8 MiB.", kModelError);
    }
    return merged;
  }
  n_raw_bytes_ += bytes.size();
  parser_.feed(bytes);
  while (const auto event = parser_.next()) {
    if (complete()) break;
    read(event->data, merged);
  }
  if (parser_.overflowed()) {
    throw RuntimeError("The server's stream cannot be read: an event is larger than 8 MiB.",
                       kModelError);
  }
  if (n_raw_bytes_ / kRawBytesPerByte > limits_.bytes) was_cut_ = true;
  return merged;
}

model::Delta ReplyReader::end() {
  model::Delta merged;
  if (is_json_) {
    read(body_, merged);
    if (!stream_.answered()) {
      throw RuntimeError("The server's answer has no reply: " + server_message(body_), kModelError);
    }
    return merged;
  }
  parser_.end();
  merged = feed({});
  if (!answered()) {
    throw RuntimeError(has_begun() ? "The server closed the stream in the middle of the reply."
                                   : "The server closed the stream without a reply.",
                       kModelError);
  }
  return merged;
}

// A delta carries at least one token, so more deltas than max_tokens is babble for certain.
void ReplyReader::read(std::string_view payload, model::Delta& merged) {
  const model::Delta delta = stream_.add(payload);
  if (delta.empty()) return;
  ++n_deltas_;
  n_bytes_ += delta.reasoning.size() + delta.content.size() + delta.call_text.size();
  was_cut_ = n_bytes_ > limits_.bytes || (limits_.max_tokens > 0 && n_deltas_ > limits_.max_tokens);
  merged += delta;
}

ChatReply ReplyReader::finish(bool interrupted) const {
  if (interrupted) return stream_.finish(model::Stop::interrupted);
  if (was_cut_) return stream_.finish(model::Stop::length);
  return stream_.finish(std::nullopt);
}

}  // namespace corvid::runtime
