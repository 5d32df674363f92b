#include "model/text/call_grammar.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/text/deepseek_v32.h"
#include "model/text/json_text.h"

namespace corvid::model {
namespace {

using Json = nlohmann::ordered_json;
using Texts = std::vector<std::string>;
using State = CallGrammar::State;
using Mode = CallGrammar::Mode;

constexpr std::size_t kMaxParameters = 64;

// Text at the start of a line that is never an answer: from here on it is a block of calls.
constexpr std::string_view kCommitment = "<｜DSML｜";
static_assert(v32::kOpenCalls.starts_with(kCommitment));

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) text += part;
  return text;
}

// What a choice leads to.
enum class Step : std::uint8_t { tool, element, parameter, kind, value_end, after_call };

// The texts to choose from at each step; sorted.
struct Syntax {
  const Texts opening = {
      joined({v32::kOpenCalls.substr(kCommitment.size()), "\n", v32::kOpenInvoke})};
  // A call without parameters has an empty line.
  enum { kEndEmpty, kEnd, kParameter };
  const Texts element = {joined({"\n", v32::kCloseInvoke, "\n"}), joined({v32::kCloseInvoke, "\n"}),
                         joined({v32::kOpenParameter})};
  enum { kJson, kText };
  const Texts kind = {"false\">", "true\">"};
  const Texts value_end = {joined({v32::kCloseParameter, "\n"})};
  const Texts payload_end = {"\n"};
  enum { kEndBlock, kNextCall };
  const Texts after_call = {joined({v32::kCloseCalls}), joined({v32::kOpenInvoke})};
};

const Syntax& syntax() {
  static const Syntax kSyntax;
  return kSyntax;
}

struct Parameter {
  std::string name;
  std::uint16_t schema = 0;
  std::uint64_t excluded_kinds = 0;  // of Syntax::kind
  Texts texts;                       // enumerated strings, each with its closing tag
};

struct Tool {
  std::string name;
  std::vector<Parameter> parameters;  // sorted by the text that names them
  Texts parameter_texts;
  std::uint64_t required = 0;

  std::uint64_t all() const {
    return parameters.size() == 64 ? ~std::uint64_t{0}
                                   : (std::uint64_t{1} << parameters.size()) - 1;
  }
};

// Names stand between quotes, without escaping.
bool is_writable(std::string_view name) {
  return !name.empty() &&
         std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == '"'; });
}

}  // namespace

struct CallGrammar::Parts {
  JsonGrammar json{v32::kCloseParameter};
  std::vector<Tool> tools;  // sorted by the text that names them
  Texts tool_texts;

  explicit Parts(std::span<const ToolSpec> specs);
  Tool read_tool(const ToolSpec& spec);
  Parameter read_parameter(const std::string& name, const Json& schema, const Json& root);

  void choose(State& s, const Texts& texts, Step then, std::uint64_t excluded = 0) const;
  void next_element(State& s) const;
  void chosen(State& s, int index) const;
  void begin_value(State& s, int kind) const;
  bool step_content(State& s, std::uint8_t byte) const;
  bool step_choice(State& s, std::uint8_t byte) const;
  bool step_payload(State& s, std::uint8_t byte) const;
  bool step_json(State& s, std::uint8_t byte) const;
};

// --- Tools --------------------------------------------------------------------------------------

CallGrammar::Parts::Parts(std::span<const ToolSpec> specs) {
  for (const ToolSpec& spec : specs) {
    if (is_writable(spec.name)) tools.push_back(read_tool(spec));
  }
  const auto text = [](const Tool& tool) { return tool.name + "\">\n"; };
  std::ranges::sort(tools, {}, text);
  for (const Tool& tool : tools) tool_texts.push_back(text(tool));
}

Tool CallGrammar::Parts::read_tool(const ToolSpec& spec) {
  Tool tool{spec.name, {}, {}, 0};
  Json root;
  try {
    root = Json::parse(spec.parameters);
  } catch (const Json::exception& error) {
    throw ModelError("the schema of tool '" + spec.name + "' is not JSON: " + error.what());
  }
  const Json none = Json::object();
  const Json& properties = root.contains("properties") ? root["properties"] : none;
  const Json& required = root.contains("required") ? root["required"] : none;
  const auto is_required = [&](const std::string& name) {
    return std::ranges::find(required, Json(name)) != required.end();
  };
  for (bool now : {true, false}) {  // the required ones first, in case there are too many
    for (const auto& [name, schema] : properties.items()) {
      if (is_required(name) != now || !is_writable(name)) continue;
      if (tool.parameters.size() == kMaxParameters) break;
      tool.parameters.push_back(read_parameter(name, schema, root));
    }
  }
  const auto text = [](const Parameter& p) { return joined({p.name, v32::kParameterKind}); };
  std::ranges::sort(tool.parameters, {}, text);
  for (std::size_t i = 0; i < tool.parameters.size(); ++i) {
    tool.parameter_texts.push_back(text(tool.parameters[i]));
    if (is_required(tool.parameters[i].name)) tool.required |= std::uint64_t{1} << i;
  }
  return tool;
}

Parameter CallGrammar::Parts::read_parameter(const std::string& name, const Json& schema,
                                             const Json& root) {
  Parameter parameter{name, json.add(schema, root), 0, {}};
  const JsonGrammar::Node& node = json.node(parameter.schema);
  const auto is_string = [](const std::string& choice) { return choice.starts_with('"'); };
  if (!(node.types & JsonGrammar::kString)) {
    parameter.excluded_kinds = 1 << Syntax::kText;
  } else if (!node.choices.empty()) {
    for (const std::string& choice : node.choices) {
      if (!is_string(choice)) continue;
      const std::string value = json_unquote(choice);
      parameter.texts.push_back(joined({value, v32::kCloseParameter, "\n"}));
    }
    std::ranges::sort(parameter.texts);
    if (std::ranges::all_of(node.choices, is_string)) parameter.excluded_kinds = 1 << Syntax::kJson;
  }
  return parameter;
}

// --- Steps --------------------------------------------------------------------------------------

void CallGrammar::Parts::choose(State& s, const Texts& texts, Step then,
                                std::uint64_t excluded) const {
  s.mode = Mode::choice;
  s.matched = 0;
  s.choice = Choice::of(texts, excluded);
  s.then = static_cast<std::uint8_t>(then);
}

// Another parameter, or the end of the call.
void CallGrammar::Parts::next_element(State& s) const {
  const Tool& tool = tools[s.tool];
  std::uint64_t excluded = 0;
  const auto exclude = [&excluded](int i) { excluded |= std::uint64_t{1} << i; };
  if (s.used == tool.all()) exclude(Syntax::kParameter);
  const bool may_end = (tool.required & ~s.used) == 0;
  if (!may_end || s.used != 0) exclude(Syntax::kEndEmpty);
  if (!may_end || s.used == 0) exclude(Syntax::kEnd);
  choose(s, syntax().element, Step::element, excluded);
}

void CallGrammar::Parts::chosen(State& s, int index) const {
  switch (static_cast<Step>(s.then)) {
    case Step::tool:
      s.tool = static_cast<std::uint16_t>(index);
      s.parameter = 0;
      s.used = 0;
      return next_element(s);
    case Step::element:
      if (index == Syntax::kParameter) {
        return choose(s, tools[s.tool].parameter_texts, Step::parameter, s.used);
      }
      return choose(s, syntax().after_call, Step::after_call);
    case Step::parameter:
      s.parameter = static_cast<std::uint16_t>(index);
      s.used |= std::uint64_t{1} << index;
      return choose(s, syntax().kind, Step::kind, tools[s.tool].parameters[index].excluded_kinds);
    case Step::kind:
      return begin_value(s, index);
    case Step::value_end:
      return next_element(s);
    case Step::after_call:
      if (index == Syntax::kNextCall) return choose(s, tool_texts, Step::tool);
      s = {};
      s.mode = Mode::closed;
      return;
  }
}

void CallGrammar::Parts::begin_value(State& s, int kind) const {
  const Parameter& parameter = tools[s.tool].parameters[s.parameter];
  s.choice = {};
  if (kind == Syntax::kJson) {
    s.mode = Mode::json;
    s.json = json.start(parameter.schema);
  } else if (!parameter.texts.empty()) {
    choose(s, parameter.texts, Step::value_end);
  } else {
    s.mode = Mode::payload;
  }
}

bool CallGrammar::Parts::step_content(State& s, std::uint8_t byte) const {
  const bool may_open = s.matched > 0 || (s.fence.at_line_start() && !s.fence.open());
  s.fence.add(static_cast<char>(byte));
  if (!may_open || byte != static_cast<std::uint8_t>(kCommitment[s.matched])) {
    s.matched = 0;
    return true;
  }
  if (++s.matched < kCommitment.size()) return true;
  s = {};
  choose(s, syntax().opening, Step::after_call);
  return true;
}

bool CallGrammar::Parts::step_choice(State& s, std::uint8_t byte) const {
  if (!s.choice.step(byte)) return false;
  const std::optional<int> complete = s.choice.complete();
  if (!complete) return true;
  // The opening ends with the first call's.
  chosen(s, s.choice.texts == &syntax().opening ? Syntax::kNextCall : *complete);
  return true;
}

bool CallGrammar::Parts::step_payload(State& s, std::uint8_t byte) const {
  const std::string_view tag = v32::kCloseParameter;
  if (byte == static_cast<std::uint8_t>(tag[s.matched])) {
    ++s.matched;
  } else {
    s.matched = byte == static_cast<std::uint8_t>(tag[0]);
  }
  if (s.matched == tag.size()) choose(s, syntax().payload_end, Step::value_end);
  return true;
}

bool CallGrammar::Parts::step_json(State& s, std::uint8_t byte) const {
  const bool ends = byte == '<' && json.may_end(s.json);
  if (!ends && !json.step(s.json, byte)) return false;
  if (ends || json.must_end(s.json)) {
    s.json = {};
    choose(s, syntax().value_end, Step::value_end);
    return !ends || step_choice(s, byte);
  }
  return true;
}

CallGrammar::CallGrammar(std::span<const ToolSpec> tools, Thinking thinking)
    : parts_(std::make_unique<Parts>(tools)) {
  if (parts_->tools.empty()) throw ModelError("there is no tool that can be called");
  start_.mode = thinking == Thinking::on ? Mode::reasoning : Mode::content;
}

CallGrammar::~CallGrammar() = default;

bool CallGrammar::step(State& s, std::uint8_t byte) const {
  switch (s.mode) {
    case Mode::reasoning:
      if (byte == static_cast<std::uint8_t>(v32::kEndThink[s.matched])) {
        ++s.matched;
      } else {
        s.matched = byte == static_cast<std::uint8_t>(v32::kEndThink[0]);
      }
      if (s.matched == v32::kEndThink.size()) s.mode = Mode::content, s.matched = 0;
      return true;
    case Mode::content:
      return parts_->step_content(s, byte);
    case Mode::choice:
      return parts_->step_choice(s, byte);
    case Mode::payload:
      return parts_->step_payload(s, byte);
    case Mode::json:
      return parts_->step_json(s, byte);
    case Mode::closed:
      return false;
    case Mode::lost:
      return true;
  }
  return false;
}

std::optional<std::uint8_t> CallGrammar::only_byte(const State& state) const {
  if (state.mode == Mode::choice) return state.choice.only_byte();
  if (state.mode != Mode::json) return std::nullopt;
  std::optional<std::uint8_t> only;
  for (int byte = 0; byte < 256; ++byte) {
    State next = state;
    if (!step(next, static_cast<std::uint8_t>(byte))) continue;
    if (only) return std::nullopt;
    only = static_cast<std::uint8_t>(byte);
  }
  return only;
}

}  // namespace corvid::model
