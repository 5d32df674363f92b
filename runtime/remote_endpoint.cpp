#include "runtime/remote_endpoint.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "plugins/mcp_headers.h"
#include "runtime/error.h"

namespace corvid::runtime {
namespace {

struct Name {
  Dialect dialect;
  std::string_view name;
};
constexpr std::array<Name, 6> kNames = {{{Dialect::generic, "generic"},
                                         {Dialect::deepseek, "deepseek"},
                                         {Dialect::vllm, "vllm"},
                                         {Dialect::sglang, "sglang"},
                                         {Dialect::llama_server, "llama-server"},
                                         {Dialect::ollama, "ollama"}}};

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return result;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

std::string_view name_of(Dialect dialect) {
  for (const Name& name : kNames) {
    if (name.dialect == dialect) return name.name;
  }
  return "generic";
}

std::optional<Dialect> dialect_named(std::string_view name) {
  for (const Name& known : kNames) {
    if (known.name == name) return known.dialect;
  }
  return std::nullopt;
}

bool is_url(std::string_view model) {
  return model.starts_with("http://") || model.starts_with("https://");
}

Endpoint parse_endpoint(std::string_view url) {
  const auto refuse = [shown = std::string(contains(url, "@") ? "" : " " + std::string(url))](
                          const std::string& why) {
    throw RuntimeError("Cannot use the model URL" + shown + ": " + why +
                           ". It looks like https://host/v1 or https://host/v1#model.",
                       kUsage);
  };
  if (!is_url(url)) refuse("it starts with neither http:// nor https://");
  if (url.find_first_of(" \t\r\n\"\\") != std::string_view::npos) refuse("it has a blank or quote");
  Endpoint endpoint;
  if (const std::size_t mark = url.find('#'); mark != std::string_view::npos) {
    endpoint.model = url.substr(mark + 1);
    url = url.substr(0, mark);
  }
  if (contains(url, "?")) refuse("it has a query");
  const std::size_t start = url.find("://") + 3;
  while (url.size() > start && url.ends_with('/')) url.remove_suffix(1);
  if (url.ends_with("/chat/completions")) url.remove_suffix(17);
  const std::size_t slash = url.find('/', start);
  endpoint.host = lower(url.substr(start, slash == std::string_view::npos ? slash : slash - start));
  if (endpoint.host.empty()) refuse("it names no host");
  if (contains(endpoint.host, "@")) refuse("a key does not belong into a URL");
  endpoint.base = std::string(url) + (slash == std::string_view::npos ? "/v1" : "");
  endpoint.is_loopback = plugins::is_loopback(endpoint.base);
  return endpoint;
}

Dialect guess_dialect(const Endpoint& endpoint) {
  if (contains(endpoint.host, "deepseek.com")) return Dialect::deepseek;
  if (endpoint.host.ends_with(":11434")) return Dialect::ollama;
  return Dialect::generic;
}

std::optional<Dialect> dialect_of_marks(std::string_view server_header, std::string_view mark) {
  if (contains(lower(server_header), "llama.cpp")) return Dialect::llama_server;
  if (mark == "fp_ollama") return Dialect::ollama;
  return std::nullopt;
}

ModelList parse_model_list(std::string_view body) {
  using Json = nlohmann::json;
  ModelList list;
  const Json value = Json::parse(body, nullptr, false);
  if (value.is_discarded() || !value.is_object() || !value.contains("data")) return list;
  for (const Json& entry : value["data"]) {
    if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_string()) continue;
    list.names.push_back(entry["id"].get<std::string>());
    if (list.names.size() > 1) continue;
    const auto owner = entry.find("owned_by");
    if (owner != entry.end() && owner->is_string()) {
      const std::string by = lower(owner->get<std::string>());
      if (by == "vllm") list.dialect = Dialect::vllm;
      if (by == "sglang") list.dialect = Dialect::sglang;
      if (by == "llamacpp") list.dialect = Dialect::llama_server;
      if (by == "deepseek") list.dialect = Dialect::deepseek;
      if (by == "library") list.dialect = Dialect::ollama;
    }
    for (const char* key : {"max_model_len", "context_length", "context_window"}) {
      const auto length = entry.find(key);
      if (length == entry.end() || !length->is_number_unsigned()) continue;
      list.context_tokens =
          static_cast<int>(std::min<std::uint64_t>(length->get<std::uint64_t>(), 100'000'000));
      break;
    }
  }
  return list;
}

model::ReasoningRule reasoning_rule_of(std::string_view model) {
  const std::string name = lower(model);
  const bool is_v32 = contains(name, "v3.2") || contains(name, "v3-2") || contains(name, "v3_2");
  return is_v32 && contains(name, "deepseek") ? model::ReasoningRule::turn
                                              : model::ReasoningRule::always;
}

// DeepSeek's API thinks by default and takes `thinking`. vLLM and SGLang hand template arguments
// through: DeepSeek's templates call the switch `thinking`, Qwen's and GLM's `enable_thinking`.
// llama-server reports prefill when asked. Ollama's API takes an effort of "none".
std::string dialect_fields(Dialect dialect, model::Thinking thinking) {
  const bool on = thinking == model::Thinking::on;
  const std::string truth = on ? "true" : "false";
  switch (dialect) {
    case Dialect::generic:
      return {};
    case Dialect::deepseek:
      return std::string(R"(,"thinking":{"type":")") + (on ? "enabled" : "disabled") + "\"}";
    case Dialect::vllm:
      return R"(,"chat_template_kwargs":{"thinking":)" + truth + R"(,"enable_thinking":)" + truth +
             "}";
    case Dialect::sglang:
      return R"(,"separate_reasoning":true,"chat_template_kwargs":{"thinking":)" + truth +
             R"(,"enable_thinking":)" + truth + "}";
    case Dialect::llama_server:
      return R"(,"return_progress":true,"chat_template_kwargs":{"enable_thinking":)" + truth + "}";
    case Dialect::ollama:
      return on ? "" : R"(,"reasoning_effort":"none")";
  }
  return {};
}

}  // namespace corvid::runtime
