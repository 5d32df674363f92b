// Which chat formats there are, and which one a model file wants.
#include <algorithm>

#include "model/error.h"
#include "model/files/gguf.h"
#include "model/text/formats/formats.h"

namespace corvid::model {
namespace {

struct Known {
  std::string_view name;
  std::unique_ptr<ChatFormat> (*make)();
};
constexpr Known kKnown[] = {
    {"deepseek-v2", formats::deepseek_v2},    {"deepseek-v3", formats::deepseek_v3},
    {"deepseek-r1", formats::deepseek_r1},    {"deepseek-v3.1", formats::deepseek_v31},
    {"deepseek-v3.2", formats::deepseek_v32}, {"glm-4.7", formats::glm47},
};

std::string list() {
  std::string text;
  for (const Known& known : kKnown) text += (text.empty() ? "" : ", ") + std::string(known.name);
  return text;
}

// By what only the templates of this format contain.
std::string_view name_in(std::string_view chat_template) {
  const auto has = [chat_template](std::string_view text) {
    return chat_template.find(text) != chat_template.npos;
  };
  if (has("｜DSML｜") && has("function_calls")) return "deepseek-v3.2";
  if (has("<arg_key>") && has("<|observation|>")) return "glm-4.7";
  if (has("<｜tool▁sep｜>")) {
    if (!has("```json")) return "deepseek-v3.1";
    return has("</think>") ? "deepseek-r1" : "deepseek-v3";
  }
  if (has("'User: '") && has("'Assistant:'")) return "deepseek-v2";
  return {};
}

// For files without a template.
std::string_view name_by_vocabulary(std::string_view architecture, const Tokenizer& tokenizer) {
  if (architecture == "deepseek32") return "deepseek-v3.2";
  if (tokenizer.special("<|observation|>") && tokenizer.special("<arg_key>")) return "glm-4.7";
  // V3 and its successors have one vocabulary; V2's has no tokens for roles.
  if (tokenizer.special("<｜end▁of▁sentence｜>") && !tokenizer.special("<｜User｜>")) {
    return "deepseek-v2";
  }
  return {};
}

void check_tokens(const GgufFile& file, const Tokenizer& tokenizer, const ChatFormat& format) {
  std::string missing;
  for (std::string_view token : format.special_tokens()) {
    if (tokenizer.special(token)) continue;
    missing += (missing.empty() ? "'" : ", '") + std::string(token) + "'";
  }
  if (missing.empty()) return;
  throw ModelError(file.name() + ": the vocabulary lacks " + missing + ", which the chat format " +
                   std::string(format.name()) + " needs; name another one with --chat-format (" +
                   list() + "), or use a chat model of these families");
}

}  // namespace

std::vector<std::string_view> ChatFormat::names() {
  std::vector<std::string_view> names;
  for (const Known& known : kKnown) names.push_back(known.name);
  return names;
}

std::shared_ptr<const ChatFormat> ChatFormat::named(std::string_view name) {
  const auto found = std::ranges::find(kKnown, name, &Known::name);
  if (found != std::end(kKnown)) return found->make();
  throw ModelError("there is no chat format '" + std::string(name) + "'; known are " + list());
}

std::shared_ptr<const ChatFormat> ChatFormat::of_model(const GgufFile& file,
                                                       const Tokenizer& tokenizer,
                                                       std::string_view name) {
  std::shared_ptr<const ChatFormat> format;
  if (!name.empty()) {
    format = named(name);
  } else if (const auto text = file.string("tokenizer.chat_template")) {
    name = name_in(*text);
    if (name.empty()) {
      throw ModelError(file.name() + ": its chat template is none that Corvid knows; name its " +
                       "format with --chat-format (" + list() + ")");
    }
  } else {
    name = name_by_vocabulary(file.string("general.architecture").value_or(""), tokenizer);
    if (name.empty()) {
      throw ModelError(file.name() + ": it has no chat template; name its format with " +
                       "--chat-format (" + list() + ")");
    }
  }
  if (!format) format = named(name);
  check_tokens(file, tokenizer, *format);
  return format;
}

}  // namespace corvid::model
