#include "model/text/reply_parser.h"

#include <algorithm>
#include <optional>

#include "model/error.h"
#include "model/text/code_fence.h"
#include "model/text/json_stream.h"
#include "model/text/json_text.h"
#include "model/text/tool_schemas.h"
#include "model/text/utf8.h"

namespace corvid::model {
namespace {

// Limits on what a model may say in one reply.
constexpr std::size_t kMaxReplyBytes = 16 << 20;
constexpr std::size_t kMaxCalls = 64;
constexpr std::size_t kMaxParameters = 64;  // of one call
constexpr std::size_t kMaxNameBytes = 256;

constexpr std::string_view kWhiteSpace = " \t\r\n";

std::string_view without_leading_space(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
}
std::string_view trimmed(std::string_view text) {
  text = without_leading_space(text);
  return text.substr(0, text.find_last_not_of(kWhiteSpace) + 1);
}

// How many bytes at the end of `text` may be the beginning of `tag`.
std::size_t held_back(std::string_view text, std::string_view tag) {
  std::size_t held = std::min(text.size(), tag.size() - 1);
  while (!text.ends_with(tag.substr(0, held))) --held;
  return held;
}

// Bytes that arrive in any portions; valid text goes out, half of a character waits.
class TextStream {
 public:
  void add(std::string_view bytes, std::string& delta) {
    held_ += bytes;
    const std::size_t ready = held_.size() - unfinished_utf8(held_);
    put(std::string_view(held_).substr(0, ready), delta);
    held_.erase(0, ready);
  }
  void end(std::string& delta) {
    put(held_, delta);
    held_.clear();
  }
  const std::string& text() const { return text_; }

 private:
  void put(std::string_view bytes, std::string& delta) {
    const std::string clean = clean_utf8(bytes);
    text_ += clean;
    delta += clean;
  }

  std::string held_;
  std::string text_;
};

// Reads the head of an element from bytes that may not all be there yet. White space around it and
// before a special token does not matter.
struct Head {
  enum class Status { complete, partial, wrong };

  std::string_view rest;
  Status status = Status::complete;

  void literal(std::string_view expected) {
    for (char c : trimmed(expected)) {
      if (status != Status::complete) return;
      if (is_mark(c)) rest = without_leading_space(rest);
      if (rest.empty()) {
        status = Status::partial;
      } else if (rest[0] != c) {
        status = Status::wrong;
      } else {
        rest.remove_prefix(1);
      }
    }
  }
  // Up to the byte that begins what follows, or up to a special token.
  std::string name(std::string_view followed_by) {
    if (status != Status::complete) return {};
    const auto ends = [followed_by](char c) {
      return is_mark(c) || (!followed_by.empty() && c == followed_by[0]);
    };
    const auto end = static_cast<std::size_t>(std::ranges::find_if(rest, ends) - rest.begin());
    if (end > kMaxNameBytes) {
      status = Status::wrong;
    } else if (end == rest.size()) {
      status = Status::partial;
    } else {
      const std::string_view name = rest.substr(0, end);
      rest.remove_prefix(end);
      skip_space();
      return clean_utf8(trimmed(name));
    }
    return {};
  }
  void skip_space() { rest = without_leading_space(rest); }
  bool complete() const { return status == Status::complete; }
};

class Parser : public TurnParser {
 public:
  Parser(const ReplySyntax& syntax, Thinking thinking, std::span<const ToolSpec> tools)
      : syntax_(syntax),
        calls_syntax_(syntax.calls()),
        state_(thinking == Thinking::on ? State::reasoning : State::content),
        lead_(syntax.lead()),
        opening_(trimmed(syntax.calls().opening)) {
    if (opening_.empty()) opening_ = calls_syntax_.commitment;
    if (syntax.kind_by_schema()) schemas_.emplace(tools, "\xFF");
  }

  Delta feed(std::string_view bytes) override { return read(syntax_.read(bytes, false)); }
  Delta feed_special(std::string_view token) override { return read(syntax_.read(token, true)); }

  Where where() const override {
    switch (state_) {
      case State::reasoning:
        return Where::reasoning;
      case State::content:
        return Where::content;
      case State::closed:
      case State::malformed:
        return Where::closed;
      default:
        return Where::calls;
    }
  }

  Turn finish(Stop stop) override {
    Turn turn;
    std::string delta;
    if (state_ == State::reasoning) say(reasoning_, pending_, delta);
    if (state_ == State::content) say(content_, pending_, delta);
    reasoning_.end(delta);
    content_.end(delta);
    // Where no block is closed, the end of the reply closes it.
    const bool ended = stop == Stop::end || stop == Stop::calls;
    if (state_ == State::block && !syntax_.has_block() && ended && !calls_.empty() &&
        trimmed(pending_).empty()) {
      state_ = State::closed;
    }
    turn.stop = stop;
    switch (state_) {
      case State::reasoning:
        if (stop == Stop::end) problem_ = "the reply ended inside its reasoning";
        break;
      case State::content:
        break;
      case State::closed:
        turn.calls = std::move(calls_);
        if (stop != Stop::interrupted) turn.stop = Stop::calls;
        break;
      case State::malformed:
        turn.stop = Stop::malformed;
        break;
      default:
        problem_ = "the reply ended inside " + place() + "; no call was carried out";
        if (stop == Stop::calls) turn.stop = Stop::malformed;
    }
    if (!problem_.empty() && stop == Stop::end) turn.stop = Stop::malformed;
    turn.reasoning = reasoning_.text();
    turn.content = content_.text();
    turn.problem = problem_;
    return turn;
  }

 private:
  // block: between calls; call: between parameters; value: inside one; object: inside all.
  enum class State { reasoning, content, block, call, value, object, closed, malformed };
  // What a value is; open: only the whole of it tells.
  enum class Kind { text, json, open };

  bool in_block() const { return state_ >= State::block && state_ != State::closed; }

  Delta read(std::string_view bytes) {
    Delta delta;
    if (state_ == State::closed) return delta;
    if (bytes.size() > kMaxReplyBytes - total_bytes_) {
      bytes = bytes.substr(0, kMaxReplyBytes - total_bytes_);
      too_long_ = true;
    }
    total_bytes_ += bytes.size();
    pending_ += bytes;
    while (step(delta)) {
    }
    if (too_long_) fail("the reply is longer than " + std::to_string(kMaxReplyBytes) + " bytes");
    if (in_block()) show(pending_.size(), delta);
    if (state_ == State::malformed) consume(pending_.size(), delta);
    return delta;
  }

  // Consumes one element of pending_; false when more bytes are needed.
  bool step(Delta& delta) {
    switch (state_) {
      case State::reasoning:
        return step_reasoning(delta);
      case State::content:
        return step_content(delta);
      case State::block:
        return step_block(delta);
      case State::call:
        return step_call(delta);
      case State::value:
      case State::object:
        return step_value(delta);
      case State::closed:
      case State::malformed:
        return false;
    }
    return false;
  }

  bool step_reasoning(Delta& delta) {
    const std::string_view tag = syntax_.reasoning_end();
    const std::size_t end = pending_.find(tag);
    if (end != pending_.npos) {
      say(reasoning_, std::string_view(pending_).substr(0, end), delta.reasoning);
      reasoning_.end(delta.reasoning);
      pending_.erase(0, end + tag.size());
      state_ = State::content;
      return true;
    }
    const std::size_t ready = pending_.size() - held_back(pending_, tag);
    say(reasoning_, std::string_view(pending_).substr(0, ready), delta.reasoning);
    pending_.erase(0, ready);
    return false;
  }

  // A special token opens calls wherever it stands; text does at the start of a line, outside code.
  bool may_open() const {
    return is_mark(opening_[0]) || (fence_.at_line_start() && !fence_.open());
  }

  // The newlines before calls belong to the format, so while calls may open they are held back.
  bool step_content(Delta& delta) {
    skip_lead();
    std::size_t at = scanned_;
    for (; at < pending_.size() || may_open(); ++at) {
      if (may_open()) {
        const std::string_view rest = std::string_view(pending_).substr(at);
        if (rest.starts_with(opening_)) return open_block(at, delta);
        if (opening_.starts_with(rest)) break;
      }
      if (at == pending_.size()) break;
      fence_.add(pending_[at]);
    }
    const std::size_t ready = may_open() ? before_gap(at) : at;
    say(content_, std::string_view(pending_).substr(0, ready), delta.content);
    pending_.erase(0, ready);
    scanned_ = at - ready;
    return false;
  }

  void skip_lead() {
    while (!lead_.empty() && !pending_.empty()) {
      if (pending_[0] != lead_[0]) {
        lead_ = {};
        return;
      }
      pending_.erase(0, 1);
      lead_.remove_prefix(1);
    }
  }

  // `at` less the newlines just before it that separate calls from content.
  std::size_t before_gap(std::size_t at) const {
    for (std::size_t i = 0; i < calls_syntax_.before.size(); ++i) {
      if (at > 0 && pending_[at - 1] == '\n') --at;
    }
    return at;
  }

  bool open_block(std::size_t at, Delta& delta) {
    say(content_, std::string_view(pending_).substr(0, before_gap(at)), delta.content);
    content_.end(delta.content);
    pending_.erase(0, at);
    state_ = State::block;
    if (!calls_syntax_.opening.empty()) consume(opening_.size(), delta);
    return true;
  }

  bool step_block(Delta& delta) {
    skip_white_space(delta);
    Head open{pending_};
    open.literal(calls_syntax_.call);
    ToolCall call;
    call.name = open.name(calls_syntax_.after_name);
    open.literal(calls_syntax_.after_name);
    if (open.complete()) {
      if (calls_.size() == kMaxCalls) return fail_limit(kMaxCalls, "calls");
      delta.calls.push_back({calls_.size(), {}, call.name, {}});
      calls_.push_back(std::move(call));
      consume(open, delta);
      parameters_.clear();
      state_ = State::call;
      if (!syntax_.has_parameters()) begin_value(State::object, Kind::json, delta);
      return true;
    }
    if (!syntax_.has_block()) return wait_or_fail({open}, "another call or the end of the reply");
    Head close{pending_};
    close.literal(calls_syntax_.closing);
    if (close.complete()) {
      if (calls_.empty()) return fail("the block of calls is empty");
      consume(close, delta);
      pending_.clear();
      state_ = State::closed;
      return true;
    }
    return wait_or_fail({open, close}, "a call or the end of the block");
  }

  bool step_call(Delta& delta) {
    skip_white_space(delta);
    Head open{pending_};
    open.literal(calls_syntax_.parameter);
    const std::string name = open.name(calls_syntax_.as_text);
    Head as_text = open, as_json = open;
    as_text.literal(calls_syntax_.as_text);
    as_json.literal(calls_syntax_.as_json);
    if (as_text.complete() || as_json.complete()) {
      if (parameters_.size() == kMaxParameters) return fail_limit(kMaxParameters, "parameters");
      const Kind kind = schemas_ ? kind_of(name) : as_text.complete() ? Kind::text : Kind::json;
      consume(as_text.complete() ? as_text : as_json, delta);
      begin_parameter(name, delta);
      begin_value(State::value, kind, delta);
      return true;
    }
    Head close{pending_};
    close.literal(calls_syntax_.after_call);
    if (close.complete()) {
      grow(calls_.back().arguments.empty() ? "{}" : "}", delta);
      state_ = State::block;
      return consume(close, delta);
    }
    return wait_or_fail({as_text, as_json, close}, "a parameter or the end of the call");
  }

  bool step_value(Delta& delta) {
    const bool is_object = state_ == State::object;
    const std::string_view tag =
        is_object ? trimmed(calls_syntax_.after_call) : calls_syntax_.after_value;
    const std::size_t end = pending_.find(tag, scanned_);
    if (end == pending_.npos) {
      scanned_ = pending_.size() - held_back(pending_, tag);
      read_value(scanned_, delta);
      return false;
    }
    if (is_object) {
      end_object(end, delta);
    } else {
      end_parameter(end, delta);
    }
    consume(end + tag.size(), delta);
    return true;
  }

  // --- Arguments: their text grows as they are read.

  // Adds to the arguments of the last call.
  void grow(std::string_view text, Delta& delta) {
    if (repeated_) return;
    calls_.back().arguments += text;
    Delta growth;
    growth.calls.push_back({calls_.size() - 1, {}, {}, std::string(text)});
    delta += growth;
  }

  // By the schema; where it leaves both, the value itself has to tell.
  Kind kind_of(const std::string& parameter) const {
    const std::uint16_t schema = schemas_->schema_of(calls_.back().name, parameter);
    const std::uint8_t types = schemas_->json().node(schema).types;
    if (!(types & JsonGrammar::kString)) return Kind::json;
    return types == JsonGrammar::kString ? Kind::text : Kind::open;
  }
  // What looks like JSON other than a string is JSON.
  static Kind kind_of_value(const std::string& value) {
    return value.empty() || value[0] == '"' || !is_json(value) ? Kind::text : Kind::json;
  }

  void begin_parameter(const std::string& name, Delta& delta) {
    ToolCall& call = calls_.back();
    good_bytes_ = call.arguments.size();
    repeated_ = std::ranges::find(parameters_, name) != parameters_.end();
    if (repeated_) call.problem = "the parameter '" + name + "' is given twice";
    if (!repeated_) parameters_.push_back(name);
    grow((call.arguments.empty() ? "{" : ", ") + json_quote(name) + ": ", delta);
  }

  void begin_value(State state, Kind kind, Delta& delta) {
    state_ = state;
    kind_ = kind;
    scanned_ = read_ = 0;
    text_value_ = {};
    json_value_ = {};
    if (kind == Kind::text) grow("\"", delta);
  }

  // The value's bytes up to `end`, which are in pending_.
  void read_value(std::size_t end, Delta& delta) {
    if (kind_ == Kind::open || end <= read_) return;
    const std::string bytes = spelled_value(read_, end);
    read_ = end;
    if (kind_ == Kind::json) return grow(json_value_.feed(bytes), delta);
    std::string text;
    text_value_.add(bytes, text);
    grow_text(text, delta);
  }
  void grow_text(const std::string& text, Delta& delta) {
    const std::string quoted = json_quote(text);
    grow(std::string_view(quoted).substr(1, quoted.size() - 2), delta);
  }
  // A mark in an object of arguments is no JSON; in a value it is text.
  std::string spelled_value(std::size_t begin, std::size_t end) const {
    const std::string_view bytes = std::string_view(pending_).substr(begin, end - begin);
    return state_ == State::object ? std::string(bytes) : syntax_.spelled(bytes);
  }

  void end_parameter(std::size_t end, Delta& delta) {
    const std::string value = spelled_value(0, end);
    if (kind_ == Kind::open) begin_value(State::value, kind_of_value(value), delta);
    read_value(end, delta);
    if (kind_ == Kind::text) {
      std::string text;
      text_value_.end(text);
      grow_text(text, delta);
      grow("\"", delta);
    } else {
      grow(json_value_.end(), delta);
      ToolCall& call = calls_.back();
      if (!repeated_ && !is_json(value)) {
        call.problem = "the value of '" + parameters_.back() + "' is not JSON";
        call.arguments.resize(good_bytes_);
      }
    }
    repeated_ = false;
    state_ = State::call;
  }

  void end_object(std::size_t end, Delta& delta) {
    read_value(end, delta);
    grow(json_value_.end(), delta);
    try {
      json_members(trimmed(std::string_view(pending_).substr(0, end)));
    } catch (const ModelError& error) {
      ToolCall& call = calls_.back();
      call.arguments = "{}";
      call.problem = std::string("the arguments are not a JSON object: ") + error.what();
    }
    state_ = State::block;
  }

  bool fail(std::string problem) {
    state_ = State::malformed;
    problem_ = std::move(problem);
    return false;
  }
  bool fail_limit(std::size_t limit, const char* what) {
    return fail("more than " + std::to_string(limit) + " " + what + " in " + place());
  }
  bool wait_or_fail(std::initializer_list<Head> choices, const char* expected) {
    for (const Head& head : choices) {
      if (head.status == Head::Status::partial) return false;
    }
    return fail(place() + " has something else where " + expected + " is expected");
  }

  // For messages: "call 2 (shell)".
  std::string place() const {
    if (state_ == State::block || calls_.empty()) return "the block of calls";
    return "call " + std::to_string(calls_.size()) + " (" + calls_.back().name + ")";
  }

  void say(TextStream& stream, std::string_view bytes, std::string& delta) const {
    stream.add(syntax_.spelled(bytes), delta);
  }
  void skip_white_space(Delta& delta) {
    consume(std::min(pending_.find_first_not_of(kWhiteSpace), pending_.size()), delta);
  }
  bool consume(const Head& head, Delta& delta) {
    consume(pending_.size() - head.rest.size(), delta);
    return true;
  }
  void consume(std::size_t size, Delta& delta) {
    show(size, delta);
    pending_.erase(0, size);
    shown_ -= size;
  }
  // The raw text of the block up to `end`, for progress.
  void show(std::size_t end, Delta& delta) {
    if (end <= shown_) return;
    say(block_, std::string_view(pending_).substr(shown_, end - shown_), delta.call_text);
    shown_ = end;
  }

  const ReplySyntax& syntax_;
  const CallSyntax& calls_syntax_;
  std::optional<ToolSchemas> schemas_;  // where the syntax does not say what a value is
  State state_;
  std::string_view lead_;     // what may still come before the content
  std::string_view opening_;  // what begins a block of calls
  std::string pending_;       // bytes not consumed yet
  std::size_t scanned_ = 0;   // content, value: bytes of pending_ that have been looked at
  std::size_t shown_ = 0;     // block: bytes of pending_ that have been reported
  std::size_t total_bytes_ = 0;
  bool too_long_ = false;
  TextStream reasoning_, content_, block_;
  CodeFence fence_;

  std::vector<ToolCall> calls_;
  std::vector<std::string> parameters_;  // of the last call, without repetitions
  bool repeated_ = false;                // the one being read is one
  std::size_t good_bytes_ = 0;           // of the arguments, before it
  Kind kind_ = Kind::text;               // of the value being read
  std::size_t read_ = 0;                 // bytes of pending_ that are in the arguments
  TextStream text_value_;
  JsonStream json_value_;
  std::string problem_;
};

class BareText : public TurnParser {
 public:
  Delta feed(std::string_view bytes) override {
    Delta delta;
    text_.add(bytes, delta.content);
    return delta;
  }
  Delta feed_special(std::string_view) override { return {}; }
  Where where() const override { return Where::content; }
  Turn finish(Stop stop) override {
    std::string delta;
    text_.end(delta);
    Turn turn;
    turn.stop = stop;
    turn.content = text_.text();
    return turn;
  }

 private:
  TextStream text_;
};

}  // namespace

std::unique_ptr<TurnParser> text_parser() {
  return std::make_unique<BareText>();
}

std::unique_ptr<TurnParser> reply_parser(const ReplySyntax& syntax, Thinking thinking,
                                         std::span<const ToolSpec> tools) {
  return std::make_unique<Parser>(syntax, thinking, tools);
}

}  // namespace corvid::model
