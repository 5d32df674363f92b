#include "model/text/call_grammar.h"

#include <algorithm>

#include "model/error.h"
#include "model/text/json_field.h"
#include "model/text/json_text.h"
#include "model/text/tool_schemas.h"

namespace corvid::model {
namespace {

using Texts = std::vector<std::string>;
using State = CallGrammar::State;
using Mode = CallGrammar::Mode;

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) text += part;
  return text;
}

std::size_t common_length(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// Texts to choose from, sorted, each with what it stands for.
class Options {
 public:
  Options(std::initializer_list<std::pair<std::string, int>> options) : options_(options) {
    std::ranges::sort(options_);
    for (const auto& [text, meaning] : options_) texts_.push_back(text);
  }
  const Texts& texts() const { return texts_; }
  int meaning(int index) const { return options_[index].second; }
  // The bits of those that mean this.
  std::uint64_t bits(int meaning) const {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < options_.size(); ++i) {
      if (options_[i].second == meaning) bits |= std::uint64_t{1} << i;
    }
    return bits;
  }

 private:
  std::vector<std::pair<std::string, int>> options_;
  Texts texts_;
};

// What a choice leads to.
enum class Step : std::uint8_t {
  opening,    // the first call's tool
  tool,       // its arguments
  element,    // a parameter, or the end of the call
  parameter,  // the kind of its value
  kind,       // its value
  value_end,  // another element
  call_end,   // what may follow a call
  next,       // the next call's tool, or the end of the block
};

// The texts to choose from at each step.
struct Syntax {
  explicit Syntax(const CallSyntax& s)
      : opening{joined({s.opening, s.call}).substr(s.commitment.size())},
        first_element{{std::string(s.parameter), kParameter}, {std::string(s.after_call), kEnd}},
        element{{joined({s.between_parameters, s.parameter}), kParameter},
                {std::string(s.after_call), kEnd}},
        kind_begin(s.as_text.substr(0, common_length(s.as_text, s.as_json))),
        kind{{std::string(s.as_json.substr(kind_begin.size())), kJson},
             {std::string(s.as_text.substr(kind_begin.size())), kText}},
        value_end{std::string(s.after_value)},
        call_end{std::string(s.after_call)},
        next{{joined({s.between_calls, s.call}), kCall}, {std::string(s.closing), kClose}},
        next_call{joined({s.between_calls, s.call})},
        first_call{joined({s.before, s.opening, s.call})},
        other_than_json{joined({s.opening, s.call})} {}

  enum { kParameter, kEnd };
  enum { kJson, kText };
  enum { kCall, kClose };
  const Texts opening;
  const Options first_element, element;
  const std::string kind_begin;  // what both kinds of value begin with
  const Options kind;
  const Texts value_end, call_end;
  const Options next;
  const Texts next_call;                    // where no block is closed
  const Texts first_call, other_than_json;  // where a ReplyRule wants no other content
};

struct Parameter {
  std::uint16_t schema = 0;
  bool is_text = false;              // where the schema tells
  std::uint64_t excluded_kinds = 0;  // of Syntax::kind
  Texts texts;                       // enumerated strings, each with its closing tag
};

struct Tool {
  std::string text;                   // that names it
  std::uint16_t arguments = 0;        // schema of all parameters
  std::vector<Parameter> parameters;  // sorted by the text that names them
  Texts parameter_texts;
  std::uint64_t required = 0;

  std::uint64_t all() const {
    return parameters.size() == 64 ? ~std::uint64_t{0}
                                   : (std::uint64_t{1} << parameters.size()) - 1;
  }
};

}  // namespace

struct CallGrammar::Parts {
  const ReplySyntax& reply;
  const CallSyntax& calls;
  const Syntax syntax;
  const ToolSchemas schemas;
  const JsonGrammar& json;
  std::vector<Tool> tools;  // sorted by the text that names them
  Texts tool_texts;
  const ReplyRule rule;
  JsonGrammar document{"\xFF"};
  std::uint16_t document_schema = 0;

  Parts(const ReplySyntax& reply, std::span<const ToolSpec> specs, const ReplyRule& rule);
  Tool tool_of(const ToolSchema& schema) const;
  Parameter parameter_of(const ToolParameter& schema) const;

  void choose(State& s, const Texts& texts, Step then, std::uint64_t excluded = 0) const;
  void choose_element(State& s, const Options& options) const;
  void chosen(State& s, int index) const;
  void begin_arguments(State& s, int tool) const;
  void begin_value(State& s, int kind) const;
  void end_call(State& s) const;
  void begin_content(State& s) const;
  bool step(State& s, std::uint8_t byte) const;
  bool step_reasoning(State& s, char c) const;
  bool step_content(State& s, char c) const;
  bool step_choice(State& s, std::uint8_t byte) const;
  bool step_payload(State& s, char c) const;
  bool step_json(State& s, std::uint8_t byte) const;
  bool step_document(State& s, std::uint8_t byte) const;
};

// --- Tools --------------------------------------------------------------------------------------

CallGrammar::Parts::Parts(const ReplySyntax& reply, std::span<const ToolSpec> specs,
                          const ReplyRule& rule)
    : reply(reply),
      calls(reply.calls()),
      syntax(calls),
      // What no value may contain: its own closing tag. A JSON object ends by itself.
      schemas(specs, reply.has_parameters() ? calls.after_value : "\xFF"),
      json(schemas.json()),
      rule(rule) {
  for (const ToolSchema& schema : schemas.tools()) tools.push_back(tool_of(schema));
  std::ranges::sort(tools, {}, &Tool::text);
  for (const Tool& tool : tools) tool_texts.push_back(tool.text);
  if (!rule.content_schema.empty()) {
    const JsonDocument schema(rule.content_schema, "the schema");
    document_schema = document.add(schema.root().json(), schema.root().json());
  }
}

Tool CallGrammar::Parts::tool_of(const ToolSchema& schema) const {
  Tool tool{joined({schema.name, calls.after_name}), schema.arguments, {}, {}, 0};
  if (!reply.has_parameters()) return tool;
  std::vector<std::pair<std::string, const ToolParameter*>> sorted;
  for (const ToolParameter& parameter : schema.parameters) {
    sorted.emplace_back(parameter.name + syntax.kind_begin, &parameter);
  }
  std::ranges::sort(sorted);
  for (const auto& [text, parameter] : sorted) {
    if (parameter->required) tool.required |= std::uint64_t{1} << tool.parameters.size();
    tool.parameter_texts.push_back(text);
    tool.parameters.push_back(parameter_of(*parameter));
  }
  return tool;
}

Parameter CallGrammar::Parts::parameter_of(const ToolParameter& schema) const {
  Parameter parameter{schema.schema, false, 0, {}};
  const JsonGrammar::Node& node = json.node(schema.schema);
  const auto is_string = [](const std::string& choice) { return choice.starts_with('"'); };
  const bool by_schema = reply.kind_by_schema();
  parameter.is_text = node.types & JsonGrammar::kString;
  if (!parameter.is_text) {
    parameter.excluded_kinds = syntax.kind.bits(Syntax::kText);
  } else if (!node.choices.empty()) {
    for (const std::string& choice : node.choices) {
      if (!is_string(choice) && !by_schema) continue;
      const std::string value = is_string(choice) ? json_unquote(choice) : choice;
      parameter.texts.push_back(joined({value, calls.after_value}));
    }
    std::ranges::sort(parameter.texts);
    if (std::ranges::all_of(node.choices, is_string)) {
      parameter.excluded_kinds = syntax.kind.bits(Syntax::kJson);
    }
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
void CallGrammar::Parts::choose_element(State& s, const Options& options) const {
  const Tool& tool = tools[s.tool];
  std::uint64_t excluded = 0;
  if (s.used == tool.all()) excluded |= options.bits(Syntax::kParameter);
  if (tool.required & ~s.used) excluded |= options.bits(Syntax::kEnd);
  choose(s, options.texts(), Step::element, excluded);
}

void CallGrammar::Parts::chosen(State& s, int index) const {
  switch (static_cast<Step>(s.then)) {
    case Step::opening:
      return choose(s, tool_texts, Step::tool);
    case Step::tool:
      return begin_arguments(s, index);
    case Step::element: {
      const Options& options = s.used == 0 ? syntax.first_element : syntax.element;
      if (options.meaning(index) == Syntax::kEnd) return end_call(s);
      return choose(s, tools[s.tool].parameter_texts, Step::parameter, s.used);
    }
    case Step::parameter: {
      s.parameter = static_cast<std::uint16_t>(index);
      s.used |= std::uint64_t{1} << index;
      const Parameter& parameter = tools[s.tool].parameters[index];
      if (!reply.kind_by_schema()) {
        return choose(s, syntax.kind.texts(), Step::kind, parameter.excluded_kinds);
      }
      return begin_value(s, parameter.is_text ? Syntax::kText : Syntax::kJson);
    }
    case Step::kind:
      return begin_value(s, syntax.kind.meaning(index));
    case Step::value_end:
      return choose_element(s, syntax.element);
    case Step::call_end:
      return end_call(s);
    case Step::next:
      if (!reply.has_block() || syntax.next.meaning(index) == Syntax::kCall) {
        return choose(s, tool_texts, Step::tool);
      }
      s = {};
      s.mode = Mode::closed;
      return;
  }
}

void CallGrammar::Parts::begin_arguments(State& s, int tool) const {
  s.tool = static_cast<std::uint16_t>(tool);
  s.parameter = 0;
  s.used = 0;
  if (reply.has_parameters()) return choose_element(s, syntax.first_element);
  s.choice = {};
  s.mode = Mode::json;
  s.json = json.start(tools[tool].arguments);
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

void CallGrammar::Parts::end_call(State& s) const {
  s.tool = 0;
  s.parameter = 0;
  s.used = 0;
  const std::uint64_t excluded = rule.one_call ? syntax.next.bits(Syntax::kCall) : 0;
  if (reply.has_block()) return choose(s, syntax.next.texts(), Step::next, excluded);
  s = {};
  s.mode = rule.one_call ? Mode::closed : Mode::between;
}

// Behind the reasoning, or at the start where there is none.
void CallGrammar::Parts::begin_content(State& s) const {
  s = {};
  if (rule.calls == ReplyRule::Calls::needed) {
    choose(s, syntax.first_call, Step::opening);
  } else if (!rule.content_schema.empty()) {
    s.mode = Mode::document;
    s.json = document.start(document_schema);
  }
}

bool CallGrammar::Parts::step_reasoning(State& s, char c) const {
  const std::string_view tag = reply.reasoning_end();
  if (c == tag[s.matched]) {
    ++s.matched;
  } else {
    s.matched = c == tag[0];
  }
  if (s.matched == tag.size()) begin_content(s);
  return true;
}

bool CallGrammar::Parts::step_content(State& s, char c) const {
  // What models write before their content is no part of it.
  if (s.lead < reply.lead().size() && c == reply.lead()[s.lead]) {
    ++s.lead;
    return true;
  }
  s.lead = static_cast<std::uint8_t>(reply.lead().size());
  const bool at_line_start = s.fence.at_line_start() && !s.fence.open();
  const bool may_open = s.matched > 0 || at_line_start || is_mark(calls.commitment[0]);
  s.fence.add(c);
  if (!may_open || c != calls.commitment[s.matched]) {
    s.matched = 0;
    return !is_mark(c);
  }
  const bool whole = ++s.matched == calls.commitment.size();
  // Where no call may come, none is begun either: its beginning would be left in the content.
  const bool unmistakable = whole || static_cast<unsigned char>(c) >= 0x80;
  if (rule.calls == ReplyRule::Calls::none && unmistakable) return false;
  if (!whole) return true;
  s = {};
  if (syntax.opening[0].empty()) {
    choose(s, tool_texts, Step::tool);
  } else {
    choose(s, syntax.opening, Step::opening);
  }
  return true;
}

bool CallGrammar::Parts::step_choice(State& s, std::uint8_t byte) const {
  Choice next = s.choice;
  if (!next.step(byte)) {
    // A text that others go on from may have been meant.
    const std::optional<int> complete = s.choice.complete();
    if (!complete) return false;
    chosen(s, *complete);
    return step(s, byte);
  }
  s.choice = next;
  const std::optional<int> complete = s.choice.complete();
  if (complete && !s.choice.can_go_on()) chosen(s, *complete);
  return true;
}

bool CallGrammar::Parts::step_payload(State& s, char c) const {
  const std::string_view tag = calls.after_value;
  if (c == tag[s.matched]) {
    ++s.matched;
  } else {
    if (is_mark(c)) return false;
    s.matched = c == tag[0];
  }
  if (s.matched == tag.size()) choose_element(s, syntax.element);
  return true;
}

bool CallGrammar::Parts::step_json(State& s, std::uint8_t byte) const {
  const Texts& end = reply.has_parameters() ? syntax.value_end : syntax.call_end;
  const bool ends = byte == static_cast<std::uint8_t>(end[0][0]) && json.may_end(s.json);
  if (!ends && !json.step(s.json, byte)) return false;
  if (ends || json.must_end(s.json)) {
    s.json = {};
    choose(s, end, reply.has_parameters() ? Step::value_end : Step::call_end);
    return !ends || step_choice(s, byte);
  }
  return true;
}

// The model may call instead, as long as it has not begun.
bool CallGrammar::Parts::step_document(State& s, std::uint8_t byte) const {
  const bool may_call = !tools.empty() && rule.calls == ReplyRule::Calls::free &&
                        s.json.part == JsonState::Part::value && s.json.depth == 0;
  if (!document.step(s.json, byte)) {
    if (!may_call) return false;
    choose(s, syntax.other_than_json, Step::opening);
    return step_choice(s, byte);
  }
  if (!document.must_end(s.json)) return true;
  s = {};
  s.mode = Mode::closed;
  return true;
}

bool CallGrammar::Parts::step(State& s, std::uint8_t byte) const {
  switch (s.mode) {
    case Mode::reasoning:
      return step_reasoning(s, static_cast<char>(byte));
    case Mode::content:
      return step_content(s, static_cast<char>(byte));
    case Mode::choice:
      return step_choice(s, byte);
    case Mode::payload:
      return step_payload(s, static_cast<char>(byte));
    case Mode::json:
      return step_json(s, byte);
    case Mode::document:
      return step_document(s, byte);
    case Mode::between:
      choose(s, syntax.next_call, Step::next);
      return step_choice(s, byte);
    case Mode::closed:
      return false;
    case Mode::lost:
      return true;
  }
  return false;
}

CallGrammar::CallGrammar(const ReplySyntax& syntax, std::span<const ToolSpec> tools,
                         Thinking thinking, const ReplyRule& rule)
    : parts_(std::make_unique<Parts>(syntax, tools, rule)) {
  const bool may_lack_tools = rule.calls == ReplyRule::Calls::none || !rule.content_schema.empty();
  if (parts_->tools.empty() && !may_lack_tools) {
    throw ModelError("there is no tool that can be called");
  }
  if (thinking == Thinking::on) {
    start_.mode = Mode::reasoning;
  } else {
    parts_->begin_content(start_);
  }
}

CallGrammar::~CallGrammar() = default;

bool CallGrammar::step(State& state, std::uint8_t byte) const {
  return parts_->step(state, byte);
}

bool CallGrammar::may_end(const State& state) const {
  if (state.mode == Mode::document) return parts_->document.may_end(state.json);
  return state.mode == Mode::content || state.mode == Mode::between || state.mode == Mode::closed;
}

std::optional<std::uint8_t> CallGrammar::only_byte(const State& state) const {
  if (state.mode == Mode::choice) return state.choice.only_byte();
  if (state.mode != Mode::json && state.mode != Mode::document) return std::nullopt;
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
