// A conversation with a model behind a chat-completions API.
//
// Each message is printed once, when it comes, and sent again byte for byte, so the server finds
// the same prefix in every request; only reasoning leaves the history, by the model's rule. Every
// wait has a limit and every limit has a message. io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "runtime/credentials.h"
#include "runtime/dialogue.h"
#include "runtime/remote_endpoint.h"

namespace corvid::runtime {

struct RemoteOptions {
  std::string url;  // "https://host/v1" or "https://host/v1#model"
  Credential credential;
  std::optional<Dialect> dialect;                 // empty: found out
  std::optional<model::ReasoningRule> reasoning;  // empty: by the model's name
  model::Thinking thinking = model::Thinking::on;
  int max_tokens = 0;                 // of one reply; 0: the server's default
  std::optional<double> temperature;  // empty: the server's default
  int context_tokens = 0;             // 0: as the server says, if it does
  std::string ca_file;                // certificates to trust instead of the system's

  std::size_t reply_limit_bytes = 2u << 20;  // reasoning, text and calls of one reply
  std::chrono::milliseconds connect_deadline{4000};
  std::chrono::milliseconds retry_deadline{4000};           // for all tries of a request together
  std::chrono::milliseconds first_token_deadline{600'000};  // without a sign of life
  std::chrono::milliseconds stall_deadline{120'000};        // likewise, after the first token
  std::chrono::milliseconds reply_deadline{6 * 3600'000};   // for one reply, signs of life or not
};

// RuntimeError (kUsage) when the URL cannot be used. Nothing is sent before the first reply().
std::unique_ptr<Dialogue> make_remote_dialogue(asio::any_io_executor io, RemoteOptions options);

}  // namespace corvid::runtime
