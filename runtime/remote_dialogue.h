// A conversation with a model behind a chat-completions API.
//
// Each message is printed once, when it comes, and sent again byte for byte, so the server finds
// the same prefix in every request; only reasoning leaves the history, by the model's rule. Every
// wait has a limit and every limit has a message. io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "runtime/credentials.h"
#include "runtime/dialogue.h"
#include "runtime/settings.h"

namespace corvid::runtime {

struct RemoteOptions {
  std::string url;  // "https://host/v1" or "https://host/v1#model"
  Credential credential;
  model::Thinking thinking = model::Thinking::on;
  SamplingSettings sampling;
  RemoteSettings settings;
};

// From the user's settings, with the key for the URL's host. RuntimeError (kUsage).
RemoteOptions remote_options(const Settings& settings, std::string url);

// RuntimeError (kUsage) when the URL cannot be used. Nothing is sent before the first reply().
std::unique_ptr<Dialogue> make_remote_dialogue(asio::any_io_executor io, RemoteOptions options);

}  // namespace corvid::runtime
