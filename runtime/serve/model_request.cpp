#include "runtime/serve/model_request.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

namespace corvid::runtime {
namespace {

constexpr std::size_t kMaxStopTexts = 16;
constexpr std::size_t kMaxStopBytes = 256;
constexpr std::size_t kMaxTools = 1024;
constexpr std::size_t kMaxMessages = 100'000;  // as Anthropic's API has it
constexpr std::size_t kMaxNameBytes = 128;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c == ':' || c == '/';
         });
}

// Clients send these, and some depend on being told when they send nonsense.
void check_types(const model::JsonField& body) {
  for (const char* name : {"model", "user", "prompt_cache_key", "service_tier"}) {
    if (const auto field = body.find(name)) field->text();
  }
  if (const auto field = body.find("top_logprobs")) field->integer(-1, INT32_MAX);
  const auto metadata = body.find("metadata");
  if (metadata && !metadata->is_object()) metadata->fail("not an object");
}

// {"TOKEN": NUMBER, ...}
std::map<model::Token, float> read_logit_bias(const model::JsonField& field) {
  if (!field.is_object()) field.fail("not an object");
  std::map<model::Token, float> bias;
  for (const auto& [name, value] : field.json().items()) {
    const char* const end = name.data() + name.size();
    model::Token token = -1;
    const auto [rest, error] = std::from_chars(name.data(), end, token);
    if (error != std::errc() || rest != end || token < 0) {
      field.fail("'" + name + "' is no token's number");
    }
    const model::JsonField number(value, field.path() + "." + name);
    bias[token] = static_cast<float>(number.number(-100, 100));
  }
  return bias;
}

}  // namespace

void read_sampling(const model::JsonField& body, ModelRequest& request) {
  check_types(body);
  if (const auto field = body.find("temperature")) request.temperature = field->number(0, 2);
  if (const auto field = body.find("top_p")) request.top_p = field->number(0, 1);
  if (const auto field = body.find("min_p")) request.min_p = field->number(0, 1);
  if (const auto field = body.find("seed")) {
    request.seed = static_cast<std::uint64_t>(field->integer(INT64_MIN, INT64_MAX));
  }
  if (const auto field = body.find("presence_penalty")) {
    request.presence_penalty = field->number(-2, 2);
  }
  if (const auto field = body.find("frequency_penalty")) {
    request.frequency_penalty = field->number(-2, 2);
  }
  if (const auto field = body.find("top_k")) {  // -1 is all of them, too
    request.top_k = std::max(0, static_cast<int>(field->integer(-1, INT32_MAX)));
  }
  if (const auto field = body.find("logit_bias")) request.logit_bias = read_logit_bias(*field);
  request.stream = body.boolean_or("stream", false);
}

int read_max_tokens(const model::JsonField& field) {
  return static_cast<int>(field.integer(1, INT32_MAX));
}

std::vector<std::string> read_stop_texts(const model::JsonField& field) {
  std::vector<std::string> texts;
  if (!field.is_array()) {
    texts.push_back(field.text());
  } else {
    for (const model::JsonField& item : field.items()) texts.push_back(item.text());
  }
  std::erase(texts, "");
  if (texts.size() > kMaxStopTexts) field.fail("more than 16 texts");
  for (const std::string& text : texts) {
    if (text.size() > kMaxStopBytes) field.fail("a text is longer than 256 bytes");
  }
  return texts;
}

void check_tools(const std::vector<model::ToolSpec>& tools, const std::string& field) {
  if (tools.size() > kMaxTools) throw ApiError(400, field + ": more than 1024 tools", field);
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const std::string place = field + "[" + std::to_string(i) + "]";
    if (!is_name(tools[i].name)) {
      throw ApiError(400, place + ": a tool's name has 1 to 128 letters, digits and _ - . : /",
                     place);
    }
    if (!names.insert(tools[i].name).second) {
      throw ApiError(400, place + ": two tools have the name '" + tools[i].name + "'", place);
    }
  }
}

std::vector<model::JsonField> read_items(const model::JsonField& list) {
  std::vector<model::JsonField> items = list.items();
  if (items.size() > kMaxMessages) list.fail("more than " + std::to_string(kMaxMessages));
  return items;
}

void check_results(const std::vector<model::Message>& messages, const std::string& field) {
  std::multiset<std::string_view> open;
  for (const model::Message& message : messages) {
    if (message.role == model::Role::system) continue;  // clients put them anywhere
    if (message.role == model::Role::tool) {
      auto call = open.find(message.call_id);
      if (call == open.end()) call = message.call_id.empty() ? open.begin() : open.find("");
      if (call == open.end()) {
        throw ApiError(
            400, field + ": the result of '" + message.call_id + "' has no such call before it",
            field);
      }
      open.erase(call);
    } else if (!open.empty()) {
      throw ApiError(
          400, field + ": the call '" + std::string(*open.begin()) + "' has no result behind it",
          field);
    }
    for (const model::ToolCall& call : message.calls) open.insert(call.id);
  }
  if (open.empty()) return;
  throw ApiError(400, field + ": the call '" + std::string(*open.begin()) + "' has no result",
                 field);
}

bool is_effort(const model::JsonField& effort) {
  static const std::set<std::string_view> kEfforts = {
      "none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", "auto", "default"};
  const std::string word = effort.text();
  if (!kEfforts.contains(word)) {
    effort.fail("'" + word + "' is none of none, minimal, low, medium, high, xhigh, max");
  }
  return word != "none";
}

bool is_thinking(const model::JsonField& thinking) {
  static const std::set<std::string, std::less<>> kThinks = {"enabled", "adaptive", "auto"};
  const model::JsonField type = thinking.at("type");
  const std::string word = type.text();
  if (word == "disabled") return false;
  if (!kThinks.contains(word)) type.fail("'" + word + "' is none of enabled, adaptive, disabled");
  return true;
}

void need_call(ModelRequest& request, const model::JsonField& field, const std::string& name) {
  if (request.tools.empty()) field.fail("there are no tools");
  const bool known =
      std::ranges::find(request.tools, name, &model::ToolSpec::name) != request.tools.end();
  if (!name.empty() && !known) field.fail("there is no tool '" + name + "'");
  request.rule.calls = model::ReplyRule::Calls::needed;
  if (!name.empty()) request.allowed_tools = {name};
}

void read_tool_choice_word(const model::JsonField& choice, ModelRequest& request) {
  const std::string word = choice.text();
  if (word == "none") {
    request.rule.calls = model::ReplyRule::Calls::none;
  } else if (word == "required") {
    need_call(request, choice, "");
  } else if (word != "auto") {
    choice.fail("'" + word + "' is none of auto, none, required");
  }
}

void read_allowed_tools(const model::JsonField& allowed, ModelRequest& request,
                        std::string (*name_of)(const model::JsonField& tool)) {
  const model::JsonField tools = allowed.at("tools");
  std::vector<std::string> names;
  for (const model::JsonField& tool : tools.items()) {
    const std::string name = name_of(tool);
    if (name.empty()) continue;      // one that the vendor's server would run
    need_call(request, tool, name);  // that there is such a tool
    names.push_back(name);
  }
  if (names.empty()) tools.fail("it names no tool");
  request.rule.calls = model::ReplyRule::Calls::free;
  if (const auto mode = allowed.find("mode")) read_tool_choice_word(*mode, request);
  request.allowed_tools = std::move(names);
}

std::string random_id(std::string_view prefix) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;  // the system's own source
  std::uniform_int_distribution<std::size_t> letter(0, kLetters.size() - 1);
  std::string id(prefix);
  for (int i = 0; i < 24; ++i) id += kLetters[letter(random)];
  return id;
}

std::int64_t seconds_since_epoch() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

std::string sse(std::string_view event, std::string_view data) {
  std::string text;
  if (!event.empty()) text.append("event: ").append(event).append("\n");
  return text.append("data: ").append(data).append("\n\n");
}

}  // namespace corvid::runtime
