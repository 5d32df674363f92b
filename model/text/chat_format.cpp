#include "model/text/chat_format.h"

#include <algorithm>
#include <utility>

#include "model/error.h"
#include "model/text/json_text.h"
#include "model/text/reply_parser.h"

namespace corvid::model {
namespace {

// A text that contains the syntax's own closing tag is written as JSON, its `<` escaped.
bool closes(const CallSyntax& syntax, std::string_view value) {
  if (is_mark(syntax.commitment[0])) return false;
  const std::string tag = "</" + std::string(syntax.commitment.substr(1));
  return value.find(tag) != value.npos;
}

std::string escaped(std::string_view json) {
  std::string text;
  for (char c : json) {
    if (c == '<') {
      text += "\\u003c";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

// --- Replies of the past. ------------------------------------------------------------------------

void ChatFormat::write_reply(PieceWriter& out, std::string_view content,
                             std::span<const ToolCall> calls) const {
  out.plain(shown(content));
  const ReplySyntax& reply = syntax();
  const CallSyntax& s = reply.calls();
  const auto put = [&](std::string_view marked) { out.add(reply.pieces(marked)); };
  const auto put_parameter = [&](const JsonMember& argument) {
    const bool escape = closes(s, argument.value);
    const bool as_text = argument.value.starts_with('"') && !escape;
    put(s.parameter);
    out.plain(argument.name);
    put(as_text ? s.as_text : s.as_json);
    out.plain(as_text  ? json_unquote(argument.value)
              : escape ? escaped(argument.value)
                       : argument.value);
    put(s.after_value);
  };
  if (!calls.empty()) put(s.before), put(s.opening);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) put(s.between_calls);
    put(s.call);
    out.plain(calls[i].name);
    put(s.after_name);
    if (reply.has_parameters()) {
      bool first = true;
      for (const JsonMember& argument : json_members(calls[i].arguments)) {
        if (!std::exchange(first, false)) put(s.between_parameters);
        put_parameter(argument);
      }
    } else {
      out.plain(print_json(calls[i].arguments));
    }
    put(s.after_call);
  }
  if (!calls.empty()) put(s.closing);
  out.add(reply_suffix());
}

Pieces ChatFormat::history(const Turn& turn, bool after_results) const {
  PieceWriter out;
  out.add(history_prefix(after_results));
  write_reply(out, turn.content, turn.calls);
  return out.take();
}

Pieces ChatFormat::present(const Message& reply, Thinking thinking, bool after_results) const {
  PieceWriter out;
  if (thinking == Thinking::on) {
    out.add(reply_prefix(thinking, after_results));
    out.plain(reply.reasoning).special(syntax().reasoning_end());
  } else {
    out.add(history_prefix(after_results));
  }
  write_reply(out, reply.content, reply.calls);
  return out.take();
}

std::optional<Pieces> ChatFormat::later_system(std::string_view, bool) const {
  return std::nullopt;
}

std::unique_ptr<TurnParser> ChatFormat::parser(Thinking thinking,
                                               std::span<const ToolSpec> tools) const {
  return reply_parser(syntax(), thinking, tools);
}

// --- A conversation of messages. -----------------------------------------------------------------

class Rendering {
 public:
  Rendering(const ChatFormat& format, std::span<const Message> messages,
            std::span<const ToolSpec> tools, Thinking thinking)
      : format_(format), messages_(messages), tools_(tools), thinking_(thinking) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].role == Role::user) last_user_ = i;
    }
  }

  Pieces render() {
    open();
    for (std::size_t i = 0; i < messages_.size();) i = message(i);
    if (awaiting_) {
      const bool after_results = *awaiting_ == Role::tool;
      out_.add(format_.reply_prefix(thinking(after_results), after_results));
    }
    return out_.take();
  }

 private:
  void open() {
    std::string system;
    bool leading = true, first = true;
    later_.resize(messages_.size());
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      leading = leading && messages_[i].role == Role::system;
      if (messages_[i].role != Role::system) continue;
      if (i > 0) later_[i] = format_.later_system(messages_[i].content, leading);
      if (later_[i]) continue;
      if (!std::exchange(first, false)) system += "\n\n";
      system += messages_[i].content;
    }
    out_.add(format_.open(system, tools_));
  }

  // Writes message i, or all the results from i on; returns the index of what comes next.
  std::size_t message(std::size_t i) {
    const Message& message = messages_[i];
    switch (message.role) {
      case Role::system:
        if (later_[i]) out_.add(*later_[i]);
        break;
      case Role::user:
        if (awaiting_) out_.add(format_.unanswered(*awaiting_ == Role::tool));
        out_.add(format_.user(message.content));
        awaiting_ = Role::user;
        break;
      case Role::assistant:
        assistant(i);
        awaiting_.reset();
        break;
      case Role::tool:
        awaiting_ = Role::tool;
        return results(i);
    }
    return i + 1;
  }

  void assistant(std::size_t i) {
    const Message& message = messages_[i];
    const bool after_results = awaiting_ == Role::tool;
    const bool kept = format_.reasoning_rule() == ReasoningRule::always || i > last_user_;
    if (message.said) {
      say_again(*message.said, kept, after_results);
    } else if (kept) {
      out_.add(format_.present(message, thinking(after_results), after_results));
    } else {
      Turn turn;
      turn.content = message.content;
      turn.calls = message.calls;
      out_.add(format_.history(turn, after_results));
    }
  }

  void say_again(const Said& said, bool with_reasoning, bool after_results) {
    if (with_reasoning) {
      out_.add(format_.reply_prefix(said.thinking, after_results)).tokens(said.reasoning);
    } else {
      out_.add(format_.history_prefix(after_results));
    }
    out_.tokens(said.rest);
    if (!said.ended) out_.add(format_.reply_suffix());
  }

  Thinking thinking(bool after_results) const {
    return format_.thinking(thinking_, {after_results, !tools_.empty()});
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
    std::vector<ToolResult> results;
    for (const ToolCall& call : messages_[first - 1].calls) {
      results.push_back({"", result_of(call, messages_.subspan(first, n_calls), results.size())});
    }
    out_.add(format_.results(results));
    return end;
  }

  // By id; without ids, by place.
  static std::string result_of(const ToolCall& call, std::span<const Message> results,
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

  const ChatFormat& format_;
  std::span<const Message> messages_;
  std::span<const ToolSpec> tools_;
  Thinking thinking_;
  std::size_t last_user_ = 0;
  std::vector<std::optional<Pieces>> later_;  // by message: a system message in its own place
  std::optional<Role> awaiting_;              // an answer: to the user, or to results
  PieceWriter out_;
};

Pieces ChatFormat::render(std::span<const Message> messages, std::span<const ToolSpec> tools,
                          Thinking thinking) const {
  return Rendering(*this, messages, tools, thinking).render();
}

Delta& Delta::operator+=(const Delta& next) {
  reasoning += next.reasoning;
  content += next.content;
  call_text += next.call_text;
  for (const CallPart& part : next.calls) {
    if (calls.empty() || calls.back().call != part.call) {
      calls.push_back(part);
    } else {
      calls.back().arguments += part.arguments;
    }
  }
  return *this;
}

std::string text_of(const Pieces& pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

Said said_of(const ChatFormat& format, const Tokenizer& tokenizer, std::span<const Token> reply,
             Thinking thinking) {
  const std::vector<Token> suffix = tokenizer.encode(format.reply_suffix());
  Said said{thinking, {}, {}, false};
  said.ended =
      reply.size() >= suffix.size() && std::equal(suffix.rbegin(), suffix.rend(), reply.rbegin());
  const std::size_t n = reply.size() - (said.ended ? suffix.size() : 0);
  const auto parser = format.parser(thinking, {});
  std::size_t n_reasoning = 0;  // with the marker that ends it
  while (n_reasoning < n && parser->where() == TurnParser::Where::reasoning) {
    const Token token = reply[n_reasoning++];
    if (tokenizer.is_special(token)) {
      parser->feed_special(tokenizer.bytes(token));
    } else {
      parser->feed(tokenizer.bytes(token));
    }
  }
  said.reasoning.assign(reply.begin(), reply.begin() + static_cast<std::ptrdiff_t>(n_reasoning));
  said.rest.assign(reply.begin() + static_cast<std::ptrdiff_t>(n_reasoning), reply.end());
  return said;
}

}  // namespace corvid::model
