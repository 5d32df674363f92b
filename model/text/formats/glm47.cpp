// GLM-4.7 and GLM-4.7-Flash. A reply ends with the token that begins the next message, so no end
// token is part of history. Whether a value is text or JSON is told by the tool's schema alone.
// Reasoning is kept, which the authors recommend for work with tools ("preserved thinking": the
// template's clear_thinking is false). Sources: the models' template and model cards.
#include "model/text/formats/formats.h"
#include "model/text/formats/function_json.h"

namespace corvid::model::formats {
namespace {

constexpr std::string_view kMask = "[gMASK]";
constexpr std::string_view kSop = "<sop>";
constexpr std::string_view kSystem = "<|system|>";
constexpr std::string_view kUser = "<|user|>";
constexpr std::string_view kAssistant = "<|assistant|>";
constexpr std::string_view kObservation = "<|observation|>";
constexpr std::string_view kEndOfText = "<|endoftext|>";
constexpr std::string_view kThink = "<think>";
constexpr std::string_view kEndThink = "</think>";
constexpr std::string_view kCall = "<tool_call>";
constexpr std::string_view kEndCall = "</tool_call>";
constexpr std::string_view kKey = "<arg_key>";
constexpr std::string_view kEndKey = "</arg_key>";
constexpr std::string_view kValue = "<arg_value>";
constexpr std::string_view kEndValue = "</arg_value>";
constexpr std::string_view kResponse = "<tool_response>";
constexpr std::string_view kEndResponse = "</tool_response>";

constexpr std::string_view kToolsHead = R"(
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
)";
constexpr std::string_view kToolsTail = R"(</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value>)"
                                        R"(<arg_key>{arg-key-2}</arg_key><arg_value>)"
                                        R"({arg-value-2}</arg_value>...</tool_call>)";

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kWhiteSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

class Format : public ChatFormat {
 public:
  std::string_view name() const override { return "glm-4.7"; }
  int version() const override { return 1; }
  ReasoningRule reasoning_rule() const override { return ReasoningRule::always; }
  std::vector<std::string_view> special_tokens() const override {
    return {kMask, kSop,     kSystem, kUser,   kAssistant, kObservation, kThink,    kEndThink,
            kCall, kEndCall, kKey,    kEndKey, kValue,     kEndValue,    kResponse, kEndResponse};
  }
  RecommendedSampling sampling() const override { return {0.7F, 1}; }
  const ReplySyntax& syntax() const override {
    static const ReplySyntax kSyntax({
        .marks = {kCall, kEndCall, kKey, kEndKey, kValue, kEndValue},
        .ends = {kObservation, kUser, kEndOfText},
        .calls = {.commitment = kCall,
                  .call = kCall,
                  .parameter = kKey,
                  .as_text = "</arg_key><arg_value>",
                  .as_json = "</arg_key><arg_value>",
                  .after_value = kEndValue,
                  .after_call = kEndCall},
    });
    return kSyntax;
  }

  Pieces open(std::string_view system, std::span<const ToolSpec> tools) const override {
    PieceWriter out;
    out.special(kMask).special(kSop);
    if (!tools.empty()) {
      out.special(kSystem).plain(kToolsHead);
      for (const ToolSpec& tool : tools) {
        out.plain("{\"type\": \"function\", \"function\": ")
            .plain(function_json(tool))
            .plain("}\n");
      }
      out.add(pieces_of(kToolsTail, syntax().marks()));
    }
    if (!system.empty()) out.special(kSystem).plain(system);
    return out.take();
  }
  Pieces user(std::string_view text) const override {
    return PieceWriter().special(kUser).plain(text).take();
  }
  Pieces results(std::span<const ToolResult> results) const override {
    PieceWriter out;
    out.special(kObservation);
    for (const ToolResult& result : results) {
      out.special(kResponse).plain(result.text).special(kEndResponse);
    }
    return out.take();
  }
  Pieces reply_prefix(Thinking thinking, bool) const override {
    const std::string_view marker = thinking == Thinking::on ? kThink : kEndThink;
    return PieceWriter().special(kAssistant).special(marker).take();
  }
  Pieces history_prefix(bool after_results) const override {
    return reply_prefix(Thinking::off, after_results);
  }
  Pieces reply_suffix() const override { return {}; }

 protected:
  // Reasoning that is there is shown, whether or not the next reply shall think.
  Pieces present(const Message& reply, Thinking, bool after_results) const override {
    Message tidy = reply;
    tidy.reasoning = stripped(reply.reasoning);
    const Thinking thinking = tidy.reasoning.empty() ? Thinking::off : Thinking::on;
    return ChatFormat::present(tidy, thinking, after_results);
  }
  std::string_view shown(std::string_view content) const override { return stripped(content); }
  std::optional<Pieces> later_system(std::string_view text, bool) const override {
    return PieceWriter().special(kSystem).plain(text).take();
  }
};

}  // namespace

std::unique_ptr<ChatFormat> glm47() {
  return std::make_unique<Format>();
}

}  // namespace corvid::model::formats
