// DeepSeek-V2-Lite-Chat and DeepSeek-Coder-V2-Lite-Instruct. Their template knows neither tools nor
// reasoning; tools are explained in the system text, and calls and results are plain text of the
// program's own design. Source of the rest: the models' templates.
#include "model/text/formats/deepseek_tokens.h"
#include "model/text/formats/formats.h"
#include "model/text/formats/function_json.h"

namespace corvid::model::formats {
namespace {

constexpr std::string_view kEndResult = "\n</tool_response>";

constexpr std::string_view kToolsHead = R"(## Tools

You can use tools. To use one, end your message with a call in exactly this form:

<tool_call>
{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}
</tool_call>

The arguments are one JSON object that fits the parameters of the tool. Several calls may follow)"
                                        R"( each other. Write nothing after them: the next message)"
                                        R"( has the results. When no tool is needed, just answer.

These are the tools, with the JSON schemas of their parameters:

)";

// A result cannot end itself.
std::string harmless(std::string_view text) {
  constexpr std::string_view kTag = "</tool_response>";
  std::string out(text);
  for (std::size_t at = 0; (at = out.find(kTag, at)) != out.npos; at += kTag.size()) {
    out.insert(at + 1, "\\");
  }
  return out;
}

class Format : public ChatFormat {
 public:
  std::string_view name() const override { return "deepseek-v2"; }
  int version() const override { return 1; }
  ReasoningRule reasoning_rule() const override { return ReasoningRule::always; }
  Thinking thinking(Thinking, ReplyPlace) const override { return Thinking::off; }
  std::vector<std::string_view> special_tokens() const override { return {kBos, kEos}; }
  RecommendedSampling sampling() const override { return {0.3F, 0.95F}; }
  const ReplySyntax& syntax() const override {
    static const ReplySyntax kSyntax({
        .ends = {kEos},
        .lead = " ",
        .calls = {.before = "\n",
                  .commitment = "<tool_call>",
                  .call = "<tool_call>\n{\"name\": \"",
                  .after_name = "\", \"arguments\": ",
                  .after_call = "}\n</tool_call>",
                  .between_calls = "\n"},
    });
    return kSyntax;
  }

  Pieces open(std::string_view system, std::span<const ToolSpec> tools) const override {
    PieceWriter out;
    out.special(kBos).plain(system);
    if (!system.empty()) out.plain("\n\n");
    if (tools.empty()) return out.take();
    out.plain(kToolsHead);
    for (const ToolSpec& tool : tools) out.plain(function_json(tool)).plain("\n");
    return out.plain("\n").take();
  }
  Pieces user(std::string_view text) const override {
    return PieceWriter().plain("User: ").plain(text).plain("\n\n").take();
  }
  Pieces results(std::span<const ToolResult> results) const override {
    PieceWriter out;
    out.plain("User:");
    for (const ToolResult& result : results) {
      out.plain(&result == results.data() ? " " : "\n").plain("<tool_response>\n");
      out.plain(harmless(result.text)).plain(kEndResult);
    }
    return out.plain("\n\n").take();
  }
  Pieces reply_prefix(Thinking, bool) const override {
    return PieceWriter().plain("Assistant:").take();
  }
  Pieces history_prefix(bool) const override { return PieceWriter().plain("Assistant: ").take(); }
  Pieces reply_suffix() const override { return PieceWriter().special(kEos).take(); }

 protected:
  std::optional<Pieces> later_system(std::string_view text, bool) const override {
    return PieceWriter().plain(text).plain("\n\n").take();
  }
};

}  // namespace

std::unique_ptr<ChatFormat> deepseek_v2() {
  return std::make_unique<Format>();
}

}  // namespace corvid::model::formats
