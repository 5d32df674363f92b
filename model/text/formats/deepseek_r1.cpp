// DeepSeek-R1 and R1-0528, and DeepSeek-V3 and V3-0324, which are written alike but do not reason.
// Their templates drop all reasoning from history, and let a reply to results go on without any.
// They render calls but do not list tools: that section is the program's own. Sources: the models'
// templates (calls and results as R1-0528 and V3-0324 have them; the older ones do not close a
// block of one call).
#include "model/text/formats/deepseek_tokens.h"
#include "model/text/formats/formats.h"
#include "model/text/formats/function_json.h"

namespace corvid::model::formats {
namespace {

constexpr std::string_view kToolsHead = R"(## Tools

You can call functions. End your message with the calls, in exactly this form:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME
```json
{"ARGUMENT": "VALUE"}
```<｜tool▁call▁end｜><｜tool▁calls▁end｜>

The arguments are one JSON object that fits the parameters of the function. Several calls may)"
                                        R"( stand in one block, each on its own line.

These are the functions, with the JSON schemas of their parameters:
)";

class Format : public ChatFormat {
 public:
  explicit Format(bool reasons) : reasons_(reasons) {}

  std::string_view name() const override { return reasons_ ? "deepseek-r1" : "deepseek-v3"; }
  int version() const override { return 1; }
  ReasoningRule reasoning_rule() const override {
    return reasons_ ? ReasoningRule::turn : ReasoningRule::always;
  }
  Thinking thinking(Thinking asked, ReplyPlace place) const override {
    return reasons_ && !place.after_results ? asked : Thinking::off;
  }
  std::vector<std::string_view> special_tokens() const override {
    std::vector<std::string_view> tokens = {kBos,        kEos,    kUser,     kAssistant, kCalls,
                                            kEndCalls,   kCall,   kEndCall,  kSeparator, kOutputs,
                                            kEndOutputs, kOutput, kEndOutput};
    if (reasons_) tokens.insert(tokens.end(), {kThink, kEndThink});
    return tokens;
  }
  RecommendedSampling sampling() const override { return {reasons_ ? 0.6F : 0.3F, 0.95F}; }
  const ReplySyntax& syntax() const override {
    static const ReplySyntax kReasoner(parts("\n\n")), kPlain(parts(""));
    return reasons_ ? kReasoner : kPlain;
  }

  Pieces open(std::string_view system, std::span<const ToolSpec> tools) const override {
    PieceWriter out;
    out.special(kBos).plain(system);
    if (tools.empty()) return out.take();
    if (!system.empty()) out.plain("\n\n");
    out.add(pieces_of(kToolsHead, syntax().marks()));
    for (const ToolSpec& tool : tools) {
      out.plain("\n```json\n").plain(function_json(tool)).plain("\n```\n");
    }
    return out.take();
  }
  Pieces user(std::string_view text) const override {
    return PieceWriter().special(kUser).plain(text).take();
  }
  Pieces results(std::span<const ToolResult> results) const override {
    PieceWriter out;
    out.special(kOutputs);
    for (const ToolResult& result : results) {
      if (&result != results.data()) out.plain("\n");
      out.special(kOutput).plain(result.text).special(kEndOutput);
    }
    return out.special(kEndOutputs).take();
  }
  Pieces reply_prefix(Thinking thinking, bool after_results) const override {
    PieceWriter out;
    if (after_results) return out.take();
    out.special(kAssistant);
    if (reasons_) out.special(kThink).plain("\n");
    // A reasoner that shall not think is given an empty thought.
    if (reasons_ && thinking == Thinking::off) out.plain("\n").special(kEndThink).plain("\n\n");
    return out.take();
  }
  Pieces history_prefix(bool after_results) const override {
    PieceWriter out;
    if (!after_results) out.special(kAssistant);
    return out.take();
  }
  Pieces unanswered(bool after_results) const override { return history_prefix(after_results); }
  Pieces reply_suffix() const override { return PieceWriter().special(kEos).take(); }

 protected:
  Pieces present(const Message& reply, Thinking, bool after_results) const override {
    return ChatFormat::present(reply, Thinking::off, after_results);
  }

 private:
  static ReplySyntax::Parts parts(std::string_view lead) {
    return {.marks = {kCalls, kEndCalls, kCall, kEndCall, kSeparator},
            .ends = {kEos},
            .lead = lead,
            .calls = {.commitment = kCalls,
                      .opening = kCalls,
                      .call = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                      .after_name = "\n```json\n",
                      .after_call = "\n```<｜tool▁call▁end｜>",
                      .between_calls = "\n",
                      .closing = kEndCalls}};
  }

  const bool reasons_;
};

}  // namespace

std::unique_ptr<ChatFormat> deepseek_r1() {
  return std::make_unique<Format>(true);
}
std::unique_ptr<ChatFormat> deepseek_v3() {
  return std::make_unique<Format>(false);
}

}  // namespace corvid::model::formats
