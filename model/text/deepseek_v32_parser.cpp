#include <algorithm>

#include "model/text/code_fence.h"
#include "model/text/deepseek_v32.h"
#include "model/text/json_text.h"
#include "model/text/utf8.h"

namespace corvid::model::v32 {
namespace {

// Limits on what a model may say in one reply.
constexpr std::size_t kMaxReplyBytes = 16 << 20;
constexpr std::size_t kMaxCalls = 64;
constexpr std::size_t kMaxParameters = 64;  // of one call
constexpr std::size_t kMaxNameBytes = 256;

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

// Reads the head of an element from bytes that may not all be there yet.
struct Head {
  enum class Status { complete, partial, wrong };

  std::string_view rest;
  Status status = Status::complete;

  void literal(std::string_view expected) {
    if (status != Status::complete) return;
    if (rest.starts_with(expected)) {
      rest.remove_prefix(expected.size());
    } else {
      status = expected.starts_with(rest) ? Status::partial : Status::wrong;
    }
  }
  std::string name() {
    if (status != Status::complete) return {};
    const std::size_t end = rest.find('"');
    if (std::min(end, rest.size()) > kMaxNameBytes) {
      status = Status::wrong;
    } else if (end == rest.npos) {
      status = Status::partial;
    } else {
      const std::string_view name = rest.substr(0, end);
      rest.remove_prefix(end);
      return clean_utf8(name);
    }
    return {};
  }
};

class Parser : public TurnParser {
 public:
  explicit Parser(Thinking thinking)
      : state_(thinking == Thinking::on ? State::reasoning : State::content) {}

  Delta feed(std::string_view bytes) override {
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
    if (state_ == State::reasoning) reasoning_.add(pending_, delta);
    if (state_ == State::content) content_.add(pending_, delta);
    reasoning_.end(delta);
    content_.end(delta);
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
  // block: between invokes; invoke: between parameters; value: inside a parameter.
  enum class State { reasoning, content, block, invoke, value, closed, malformed };

  bool in_block() const { return state_ >= State::block && state_ != State::closed; }

  // Consumes one element of pending_; false when more bytes are needed.
  bool step(Delta& delta) {
    switch (state_) {
      case State::reasoning:
        return step_reasoning(delta);
      case State::content:
        return step_content(delta);
      case State::block:
        return step_block(delta);
      case State::invoke:
        return step_invoke(delta);
      case State::value:
        return step_value(delta);
      case State::closed:
      case State::malformed:
        return false;
    }
    return false;
  }

  bool step_reasoning(Delta& delta) {
    const std::size_t end = pending_.find(kEndThink);
    if (end != pending_.npos) {
      reasoning_.add(std::string_view(pending_).substr(0, end), delta.reasoning);
      reasoning_.end(delta.reasoning);
      pending_.erase(0, end + kEndThink.size());
      state_ = State::content;
      return true;
    }
    std::size_t held = std::min(pending_.size(), kEndThink.size() - 1);
    while (!pending_.ends_with(kEndThink.substr(0, held))) --held;
    const std::size_t ready = pending_.size() - held;
    reasoning_.add(std::string_view(pending_).substr(0, ready), delta.reasoning);
    pending_.erase(0, ready);
    return false;
  }

  // Calls open at the start of a line, outside code. The two newlines before belong to the format,
  // so while a line begins they are held back.
  bool step_content(Delta& delta) {
    std::size_t at = scanned_;
    for (; at < pending_.size() || fence_.at_line_start(); ++at) {
      if (fence_.at_line_start() && !fence_.open()) {
        const std::string_view rest = std::string_view(pending_).substr(at);
        if (rest.starts_with(kOpenCalls)) return open_block(at, delta);
        if (kOpenCalls.starts_with(rest)) break;
      }
      if (at == pending_.size()) break;
      fence_.add(pending_[at]);
    }
    const bool line_start = fence_.at_line_start() && !fence_.open();
    const std::size_t ready = line_start ? before_newlines(at) : at;
    content_.add(std::string_view(pending_).substr(0, ready), delta.content);
    pending_.erase(0, ready);
    scanned_ = at - ready;
    return false;
  }

  // `at` less up to two newlines that lie just before it.
  std::size_t before_newlines(std::size_t at) const {
    for (int i = 0; i < 2 && at > 0 && pending_[at - 1] == '\n'; ++i) --at;
    return at;
  }

  bool open_block(std::size_t at, Delta& delta) {
    content_.add(std::string_view(pending_).substr(0, before_newlines(at)), delta.content);
    content_.end(delta.content);
    pending_.erase(0, at);
    state_ = State::block;
    consume(kOpenCalls.size(), delta);
    return true;
  }

  bool step_block(Delta& delta) {
    skip_white_space(delta);
    Head open{pending_};
    open.literal(kOpenInvoke);
    ToolCall call;
    call.name = open.name();
    open.literal("\">");
    if (open.status == Head::Status::complete) {
      if (calls_.size() == kMaxCalls) return fail_limit(kMaxCalls, "calls");
      calls_.push_back(std::move(call));
      arguments_.clear();
      state_ = State::invoke;
      return consume(open, delta);
    }
    Head close{pending_};
    close.literal(kCloseCalls);
    if (close.status == Head::Status::complete) {
      if (calls_.empty()) return fail("the block of calls is empty");
      consume(close, delta);
      pending_.clear();
      state_ = State::closed;
      return true;
    }
    return wait_or_fail({open, close}, "a call or the end of the block");
  }

  bool step_invoke(Delta& delta) {
    skip_white_space(delta);
    Head open{pending_};
    open.literal(kOpenParameter);
    const std::string name = open.name();
    open.literal(kParameterKind);
    Head as_text = open, as_json = open;
    as_text.literal("true\">");
    as_json.literal("false\">");
    const bool is_text = as_text.status == Head::Status::complete;
    if (is_text || as_json.status == Head::Status::complete) {
      if (arguments_.size() == kMaxParameters) return fail_limit(kMaxParameters, "parameters");
      parameter_ = name;
      is_text_ = is_text;
      state_ = State::value;
      scanned_ = 0;
      return consume(is_text ? as_text : as_json, delta);
    }
    Head close{pending_};
    close.literal(kCloseInvoke);
    if (close.status == Head::Status::complete) {
      end_call();
      state_ = State::block;
      return consume(close, delta);
    }
    return wait_or_fail({as_text, as_json, close}, "a parameter or the end of the call");
  }

  bool step_value(Delta& delta) {
    const std::size_t end = pending_.find(kCloseParameter, scanned_);
    if (end == pending_.npos) {
      scanned_ = pending_.size() - std::min(pending_.size(), kCloseParameter.size() - 1);
      return false;
    }
    end_parameter(std::string_view(pending_).substr(0, end));
    state_ = State::invoke;
    consume(end + kCloseParameter.size(), delta);
    return true;
  }

  void end_parameter(std::string_view value) {
    ToolCall& call = calls_.back();
    const auto same = std::find_if(arguments_.begin(), arguments_.end(),
                                   [&](const JsonMember& m) { return m.name == parameter_; });
    if (same != arguments_.end()) {
      call.problem = "the parameter '" + parameter_ + "' is given twice";
    } else if (is_text_) {
      arguments_.push_back({parameter_, json_quote(clean_utf8(value))});
    } else if (is_json(value)) {
      arguments_.push_back({parameter_, print_json(value)});
    } else {
      call.problem = "the value of '" + parameter_ + "' is not JSON";
    }
  }

  void end_call() {
    std::string text = "{";
    for (const JsonMember& argument : arguments_) {
      if (text.size() > 1) text += ", ";
      text += json_quote(argument.name) + ": " + argument.value;
    }
    calls_.back().arguments = text + "}";
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
    if (state_ == State::block) return "the block of calls";
    return "call " + std::to_string(calls_.size()) + " (" + calls_.back().name + ")";
  }

  void skip_white_space(Delta& delta) {
    consume(std::min(pending_.find_first_not_of(" \t\r\n"), pending_.size()), delta);
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
    block_.add(std::string_view(pending_).substr(shown_, end - shown_), delta.call_text);
    shown_ = end;
  }

  State state_;
  std::string pending_;      // bytes not consumed yet
  std::size_t scanned_ = 0;  // content, value: bytes of pending_ that have been looked at
  std::size_t shown_ = 0;    // block: bytes of pending_ that have been reported
  std::size_t total_bytes_ = 0;
  bool too_long_ = false;
  TextStream reasoning_, content_, block_;
  CodeFence fence_;

  std::vector<ToolCall> calls_;
  std::vector<JsonMember> arguments_;  // of the last call
  std::string parameter_;              // being read
  bool is_text_ = false;
  std::string problem_;
};

}  // namespace

std::unique_ptr<TurnParser> turn_parser(Thinking thinking) {
  return std::make_unique<Parser>(thinking);
}

}  // namespace corvid::model::v32
