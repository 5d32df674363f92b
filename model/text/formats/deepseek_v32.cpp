// DeepSeek-V3.2. Its call syntax (DSML) is ordinary text without escaping: in results the tags that
// could close them are broken by one backslash. Source: encoding published with the model.
#include "model/text/formats/deepseek_tokens.h"
#include "model/text/formats/formats.h"
#include "model/text/formats/function_json.h"

namespace corvid::model::formats {
namespace {

constexpr std::string_view kToolsHead =
    R"(## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<｜DSML｜function_calls>" block like the following as)"
    R"( part of your reply to the user:
<｜DSML｜function_calls>
<｜DSML｜invoke name="$FUNCTION_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$FUNCTION_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while)"
    R"( lists and objects should use JSON format. The "string" attribute should be set to "true")"
    R"( for string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider)"
    R"( outputting a thinking block. Here is an example:

<｜DSML｜function_calls>
...
</｜DSML｜function_calls>

<function_results>
...
</function_results>

<think>...thinking about results</think>

Here are the functions available in JSONSchema format:
<functions>
)";
constexpr std::string_view kToolsTail = "</functions>\n";

// A result cannot end its own block, nor look like a call.
std::string harmless(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    out += text[at];
    if (text[at] != '<') continue;
    const std::string_view rest = text.substr(at);
    for (std::string_view tag : {"</result>", "</function_results>", "<｜DSML｜"}) {
      if (rest.starts_with(tag)) out += '\\';
    }
  }
  return out;
}

class Format : public ChatFormat {
 public:
  std::string_view name() const override { return "deepseek-v3.2"; }
  int version() const override { return 1; }
  ReasoningRule reasoning_rule() const override { return ReasoningRule::turn; }
  std::vector<std::string_view> special_tokens() const override {
    return {kBos, kEos, kUser, kAssistant, kThink, kEndThink};
  }
  RecommendedSampling sampling() const override { return {1, 0.95F}; }
  const ReplySyntax& syntax() const override {
    static const ReplySyntax kSyntax({
        .ends = {kEos},
        .calls = {.before = "\n\n",
                  .commitment = "<｜DSML｜",
                  .opening = "<｜DSML｜function_calls>\n",
                  .call = "<｜DSML｜invoke name=\"",
                  .after_name = "\">\n",
                  .parameter = "<｜DSML｜parameter name=\"",
                  .as_text = "\" string=\"true\">",
                  .as_json = "\" string=\"false\">",
                  .after_value = "</｜DSML｜parameter>",
                  .between_parameters = "\n",
                  .after_call = "\n</｜DSML｜invoke>",
                  .between_calls = "\n",
                  .closing = "\n</｜DSML｜function_calls>"},
    });
    return kSyntax;
  }

  Pieces open(std::string_view system, std::span<const ToolSpec> tools) const override {
    PieceWriter out;
    out.special(kBos).plain(system);
    if (tools.empty()) return out.take();
    if (!system.empty()) out.plain("\n\n");
    // The reference has <think> and </think> as tokens here, not as text.
    out.add(pieces_of(kToolsHead, std::vector{kThink, kEndThink}));
    for (const ToolSpec& tool : tools) out.plain(function_json(tool)).plain("\n");
    return out.plain(kToolsTail).take();
  }
  Pieces user(std::string_view text) const override {
    return PieceWriter().special(kUser).plain(text).take();
  }
  Pieces results(std::span<const ToolResult> results) const override {
    PieceWriter out;
    out.plain("\n\n<function_results>");
    for (const ToolResult& result : results) {
      out.plain("\n<result>").plain(harmless(result.text)).plain("</result>");
    }
    return out.plain("\n</function_results>\n\n").take();
  }
  Pieces reply_prefix(Thinking thinking, bool after_results) const override {
    PieceWriter out;
    if (!after_results) out.special(kAssistant);
    return out.special(thinking == Thinking::on ? kThink : kEndThink).take();
  }
  Pieces history_prefix(bool after_results) const override {
    return reply_prefix(Thinking::off, after_results);
  }
  Pieces unanswered(bool after_results) const override { return history_prefix(after_results); }
  Pieces reply_suffix() const override { return PieceWriter().special(kEos).take(); }

 protected:
  std::optional<Pieces> later_system(std::string_view text, bool leading) const override {
    if (leading) return std::nullopt;
    return PieceWriter().plain(text).take();
  }
};

}  // namespace

std::unique_ptr<ChatFormat> deepseek_v32() {
  return std::make_unique<Format>();
}

}  // namespace corvid::model::formats
