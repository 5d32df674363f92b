// DeepSeek-V3.1, V3.1-Terminus and V3.2-Exp. These models call tools without thinking first, so
// they think only where there are no tools. Sources: the models' templates; their section on tools
// is from the model card.
#include "model/text/formats/deepseek_tokens.h"
#include "model/text/formats/formats.h"
#include "model/text/json_text.h"

namespace corvid::model::formats {
namespace {

constexpr std::string_view kToolsTail =
    R"(IMPORTANT: ALWAYS adhere to this exact format for tool use:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments)"
    R"(<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>

Where:
- `tool_call_name` must be an exact match to one of the available tools
- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces)";

class Format : public ChatFormat {
 public:
  std::string_view name() const override { return "deepseek-v3.1"; }
  int version() const override { return 1; }
  ReasoningRule reasoning_rule() const override { return ReasoningRule::turn; }
  Thinking thinking(Thinking asked, ReplyPlace place) const override {
    return place.with_tools || place.after_results ? Thinking::off : asked;
  }
  std::vector<std::string_view> special_tokens() const override {
    return {kBos,      kEos,  kUser,    kAssistant, kThink,  kEndThink, kCalls,
            kEndCalls, kCall, kEndCall, kSeparator, kOutput, kEndOutput};
  }
  RecommendedSampling sampling() const override { return {0.6F, 0.95F}; }
  const ReplySyntax& syntax() const override {
    static const ReplySyntax kSyntax({
        .marks = {kCalls, kEndCalls, kCall, kEndCall, kSeparator},
        .ends = {kEos},
        .calls = {.commitment = kCalls,
                  .opening = kCalls,
                  .call = kCall,
                  .after_name = kSeparator,
                  .after_call = kEndCall,
                  .closing = kEndCalls},
    });
    return kSyntax;
  }

  Pieces open(std::string_view system, std::span<const ToolSpec> tools) const override {
    PieceWriter out;
    out.special(kBos).plain(system);
    if (tools.empty()) return out.take();
    if (!system.empty()) out.plain("\n\n");
    out.plain("## Tools\nYou have access to the following tools:\n\n");
    for (const ToolSpec& tool : tools) {
      out.plain("### ").plain(tool.name).plain("\nDescription: ").plain(tool.description);
      out.plain("\n\nParameters: ").plain(print_json(tool.parameters)).plain("\n\n");
    }
    return out.add(pieces_of(kToolsTail, syntax().marks())).take();
  }
  Pieces user(std::string_view text) const override {
    return PieceWriter().special(kUser).plain(text).take();
  }
  Pieces results(std::span<const ToolResult> results) const override {
    PieceWriter out;
    for (const ToolResult& result : results) {
      out.special(kOutput).plain(result.text).special(kEndOutput);
    }
    return out.take();
  }
  Pieces reply_prefix(Thinking thinking, bool after_results) const override {
    if (after_results) return {};
    const std::string_view marker = thinking == Thinking::on ? kThink : kEndThink;
    return PieceWriter().special(kAssistant).special(marker).take();
  }
  Pieces history_prefix(bool after_results) const override {
    return reply_prefix(Thinking::off, after_results);
  }
  Pieces reply_suffix() const override { return PieceWriter().special(kEos).take(); }

 protected:
  Pieces present(const Message& reply, Thinking, bool after_results) const override {
    return ChatFormat::present(reply, Thinking::off, after_results);
  }
};

}  // namespace

std::unique_ptr<ChatFormat> deepseek_v31() {
  return std::make_unique<Format>();
}

}  // namespace corvid::model::formats
