#include "runtime/event.h"

#include <nlohmann/json.hpp>

#include "runtime/json_line.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;

Json to_object(const model::ToolCall& call) {
  Json json{{"id", call.id}, {"name", call.name}};
  json["arguments"] = Json::parse(call.arguments, nullptr, false);
  if (json["arguments"].is_discarded()) json["arguments"] = Json::object();
  if (!call.problem.empty()) json["problem"] = call.problem;
  return json;
}

Json to_object(const model::Usage& usage) {
  return {{"prefilled", usage.prefilled},
          {"reused", usage.reused},
          {"generated", usage.generated},
          {"forced", usage.forced},
          {"prefill_seconds", usage.prefill_seconds},
          {"decode_seconds", usage.decode_seconds}};
}

Json fields(const SessionStarted& e) {
  return {{"type", "session_started"},
          {"model", e.model},
          {"workspace", e.workspace},
          {"resumed", e.resumed}};
}
Json fields(const Prompted& e) {
  return {{"type", "prompted"}, {"text", e.text}};
}
Json fields(const Progress& e) {
  return {{"type", "progress"}, {"what", e.what}, {"fraction", e.fraction}};
}
Json fields(const ReasoningDelta& e) {
  return {{"type", "reasoning_delta"}, {"text", e.text}};
}
Json fields(const ContentDelta& e) {
  return {{"type", "content_delta"}, {"text", e.text}};
}
Json fields(const CallDelta& e) {
  return {{"type", "call_delta"}, {"text", e.text}};
}
Json fields(const StepFinished& e) {
  Json json{{"type", "step_finished"},
            {"stop", name(e.turn.stop)},
            {"reasoning", e.turn.reasoning},
            {"content", e.turn.content}};
  Json& calls = json["calls"] = Json::array();
  for (const model::ToolCall& call : e.turn.calls) calls.push_back(to_object(call));
  if (!e.turn.problem.empty()) json["problem"] = e.turn.problem;
  json["usage"] = to_object(e.turn.usage);
  return json;
}
Json fields(const CallStarted& e) {
  return {{"type", "call_started"}, {"call", to_object(e.call)}};
}
Json fields(const CallOutput& e) {
  return {{"type", "call_output"}, {"call_id", e.call_id}, {"text", e.text}};
}
Json fields(const CallFinished& e) {
  return {{"type", "call_finished"},
          {"call_id", e.result.call_id},
          {"name", e.name},
          {"text", e.result.text},
          {"is_error", e.result.is_error}};
}
Json fields(const TurnFinished& e) {
  return {
      {"type", "turn_finished"}, {"stop", name(e.stop)}, {"answer", e.answer}, {"steps", e.steps}};
}
Json fields(const Settled& e) {
  return {{"type", "settled"}, {"dropped_tokens", e.dropped_tokens}, {"prefilled", e.prefilled}};
}
Json fields(const Notice& e) {
  return {{"type", "notice"}, {"text", e.text}};
}
Json fields(const ApprovalAsked& e) {
  return {{"type", "approval_asked"}, {"id", e.id}, {"what", e.what}, {"flag", e.flag}};
}
Json fields(const ApprovalAnswered& e) {
  return {{"type", "approval_answered"}, {"id", e.id}, {"answer", e.answer}};
}
Json fields(const Failed& e) {
  return {{"type", "failed"}, {"message", e.message}, {"exit_code", e.exit_code}};
}

}  // namespace

std::string_view name(model::Stop stop) {
  switch (stop) {
    case model::Stop::end:
      return "end";
    case model::Stop::calls:
      return "calls";
    case model::Stop::length:
      return "length";
    case model::Stop::context_full:
      return "context_full";
    case model::Stop::interrupted:
      return "interrupted";
    case model::Stop::malformed:
      return "malformed";
  }
  return "end";
}

std::string to_json(const Event& event) {
  Json line{{"v", 1}, {"seq", event.seq}, {"session", event.session}};
  line.update(std::visit([](const auto& body) { return fields(body); }, event.body));
  return json_line(line);
}

}  // namespace corvid::runtime
