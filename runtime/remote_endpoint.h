// Where a remote model is and what its server wants to hear: the URL, the dialect, the fields of a
// request that differ between servers.
//
// Plain values and functions; any thread. RuntimeError (kUsage) for a URL that cannot be used.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"

namespace corvid::runtime {

// Servers of the chat-completions API and how they are told apart.
enum class Dialect { generic, deepseek, vllm, sglang, llama_server, ollama };

std::string_view name_of(Dialect dialect);
std::optional<Dialect> dialect_named(std::string_view name);

struct Endpoint {
  std::string base;   // "https://host/v1", no slash at the end
  std::string host;   // "host" or "host:8000", lower case: the name that keys are filed under
  std::string model;  // after `#`; empty: ask the server
  bool is_loopback = false;
};

// "http://127.0.0.1:8000/v1#name". A URL without a path gets /v1.
Endpoint parse_endpoint(std::string_view url);
bool is_url(std::string_view model);

// From the address alone; generic when it does not tell.
Dialect guess_dialect(const Endpoint& endpoint);
// From the head of a response (`server`) or the mark in a reply (`system_fingerprint`).
std::optional<Dialect> dialect_of_marks(std::string_view server_header, std::string_view mark);

// What GET /models says.
struct ModelList {
  std::vector<std::string> names;
  std::optional<Dialect> dialect;
  int context_tokens = 0;  // of the first model; 0: it does not say
};
ModelList parse_model_list(std::string_view body);

// The rule that a remote model's reasoning follows, by its name.
model::ReasoningRule reasoning_rule_of(std::string_view model);

// `,"thinking":{...}` and the like: fields of this dialect, JSON text that starts with a comma.
std::string dialect_fields(Dialect dialect, model::Thinking thinking);

}  // namespace corvid::runtime
