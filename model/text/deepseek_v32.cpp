#include "model/text/deepseek_v32.h"

#include <algorithm>

#include "model/error.h"
#include "model/text/json_text.h"

namespace corvid::model::v32 {
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

)";
// Between the two the reference has <think> and </think> as tokens, not as text.
constexpr std::string_view kToolsThought = "...thinking about results";
constexpr std::string_view kToolsList = R"(

Here are the functions available in JSONSchema format:
<functions>
)";
constexpr std::string_view kToolsTail = "</functions>\n";

// Grows a list of pieces; neighbouring plain text becomes one piece.
class Writer {
 public:
  Writer& special(std::string_view text) {
    pieces_.push_back({true, std::string(text)});
    return *this;
  }
  Writer& plain(std::string_view text) {
    if (text.empty()) return *this;
    if (pieces_.empty() || pieces_.back().special) pieces_.push_back({false, {}});
    pieces_.back().text += text;
    return *this;
  }
  Writer& marker(Thinking thinking) {
    return special(thinking == Thinking::on ? kThink : kEndThink);
  }
  Pieces take() { return std::move(pieces_); }

 private:
  Pieces pieces_;
};

// --- Tools, calls and results as text. ---------------------------------------------------------

std::string tool_line(const ToolSpec& tool) {
  return "{\"name\": " + json_quote(tool.name) +
         ", \"description\": " + json_quote(tool.description) +
         ", \"parameters\": " + print_json(tool.parameters) + "}\n";
}

std::string parameter_text(const JsonMember& argument) {
  const bool is_string = argument.value.starts_with('"');
  const bool closes = argument.value.find("</｜DSML｜") != std::string::npos;
  std::string text(kOpenParameter);
  text += argument.name;
  text += kParameterKind;
  if (is_string && !closes) {
    text += "true\">" + json_unquote(argument.value);
  } else {
    text += "false\">";
    for (char c : argument.value) {
      if (c == '<' && closes) {
        text += "\\u003c";
      } else {
        text += c;
      }
    }
  }
  text += kCloseParameter;
  return text;
}

void write_calls(Writer& out, std::span<const ToolCall> calls) {
  if (calls.empty()) return;
  out.plain("\n\n").plain(kOpenCalls);
  for (const ToolCall& call : calls) {
    out.plain("\n").plain(kOpenInvoke).plain(call.name).plain("\">\n");
    bool first = true;
    for (const JsonMember& argument : json_members(call.arguments)) {
      if (!first) out.plain("\n");
      first = false;
      out.plain(parameter_text(argument));
    }
    out.plain("\n").plain(kCloseInvoke);
  }
  out.plain("\n").plain(kCloseCalls);
}

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

void write_results(Writer& out, std::span<const std::string_view> texts) {
  out.plain("\n\n<function_results>");
  for (std::string_view text : texts)
    out.plain("\n<result>").plain(harmless(text)).plain("</result>");
  out.plain("\n</function_results>\n\n");
}

void write_opening(Writer& out, std::string_view system, std::span<const ToolSpec> tools) {
  out.special(kBos).plain(system);
  if (tools.empty()) return;
  if (!system.empty()) out.plain("\n\n");
  out.plain(kToolsHead).special(kThink).plain(kToolsThought).special(kEndThink).plain(kToolsList);
  for (const ToolSpec& tool : tools) out.plain(tool_line(tool));
  out.plain(kToolsTail);
}

// --- A conversation of messages. ---------------------------------------------------------------

class Rendering {
 public:
  Rendering(std::span<const Message> messages, Thinking thinking)
      : messages_(messages), thinking_(thinking) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].role == Role::user) last_user_ = i;
    }
  }

  Pieces render(std::span<const ToolSpec> tools) {
    std::size_t i = 0;
    std::string system;
    for (; i < messages_.size() && messages_[i].role == Role::system; ++i) {
      if (!system.empty()) system += "\n\n";
      system += messages_[i].content;
    }
    write_opening(out_, system, tools);
    while (i < messages_.size()) i = message(i);
    return out_.take();
  }

 private:
  // Writes message i, or all the results from i on; returns the index of what comes next.
  std::size_t message(std::size_t i) {
    const Message& message = messages_[i];
    switch (message.role) {
      case Role::system:
        out_.plain(message.content);
        break;
      case Role::user:
        out_.special(kUser).plain(message.content).special(kAssistant).marker(mode(i));
        break;
      case Role::assistant:
        if (thinking_ == Thinking::on && i > last_user_) {
          out_.plain(message.reasoning).special(kEndThink);
        }
        out_.plain(message.content);
        write_calls(out_, message.calls);
        out_.special(kEos);
        break;
      case Role::tool:
        return results(i);
    }
    return i + 1;
  }

  std::size_t results(std::size_t first) {
    std::size_t end = first;
    while (end < messages_.size() && messages_[end].role == Role::tool) ++end;
    const bool answers = first > 0 && messages_[first - 1].role == Role::assistant;
    const std::size_t n_calls = answers ? messages_[first - 1].calls.size() : 0;
    if (n_calls != end - first) {
      throw ModelError("message " + std::to_string(first) + " begins " +
                       std::to_string(end - first) + " results for " + std::to_string(n_calls) +
                       " calls; every call has one result");
    }
    std::vector<std::string_view> texts;
    for (const ToolCall& call : messages_[first - 1].calls) {
      texts.push_back(result_of(call, messages_.subspan(first, n_calls), texts.size()));
    }
    write_results(out_, texts);
    out_.marker(mode(end - 1));
    return end;
  }

  // By id; without ids, by place.
  static std::string_view result_of(const ToolCall& call, std::span<const Message> results,
                                    std::size_t place) {
    const auto found = std::find_if(results.begin(), results.end(), [&](const Message& result) {
      return !call.id.empty() && result.call_id == call.id;
    });
    if (found != results.end()) return found->content;
    if (!call.id.empty() && !results[place].call_id.empty()) {
      throw ModelError("call '" + call.id + "' has no result");
    }
    return results[place].content;
  }

  Thinking mode(std::size_t i) const { return i >= last_user_ ? thinking_ : Thinking::off; }

  std::span<const Message> messages_;
  Thinking thinking_;
  std::size_t last_user_ = 0;
  Writer out_;
};

class Format : public ChatFormat {
 public:
  std::string_view name() const override { return "deepseek-v3.2"; }
  int version() const override { return 1; }
  ReasoningRule reasoning_rule() const override { return ReasoningRule::turn; }
  std::vector<std::string_view> special_tokens() const override {
    return {kBos, kEos, kUser, kAssistant, kThink, kEndThink};
  }
  std::vector<std::string_view> reply_tokens() const override { return {kEos, kEndThink}; }

  Pieces open(std::string_view system, std::span<const ToolSpec> tools) const override {
    Writer out;
    write_opening(out, system, tools);
    return out.take();
  }
  Pieces user(std::string_view text) const override {
    return Writer().special(kUser).plain(text).take();
  }
  Pieces results(std::span<const ToolResult> results) const override {
    std::vector<std::string_view> texts;
    for (const ToolResult& result : results) texts.push_back(result.text);
    Writer out;
    write_results(out, texts);
    return out.take();
  }
  Pieces reply_prefix(Thinking thinking, bool after_results) const override {
    Writer out;
    if (!after_results) out.special(kAssistant);
    return out.marker(thinking).take();
  }
  Pieces reply_suffix() const override { return Writer().special(kEos).take(); }
  Pieces history(const Turn& turn, bool after_results) const override {
    Writer out;
    if (!after_results) out.special(kAssistant);
    out.marker(Thinking::off).plain(turn.content);
    write_calls(out, turn.calls);
    return out.special(kEos).take();
  }
  std::unique_ptr<TurnParser> parser(Thinking thinking) const override {
    return turn_parser(thinking);
  }
  Pieces render(std::span<const Message> messages, std::span<const ToolSpec> tools,
                Thinking thinking) const override {
    return Rendering(messages, thinking).render(tools);
  }
};

}  // namespace

std::unique_ptr<ChatFormat> chat_format() {
  return std::make_unique<Format>();
}

}  // namespace corvid::model::v32
