// A dialogue that says what a script says, and remembers what it was told.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <functional>

#include "runtime/dialogue.h"
#include "runtime/error.h"

namespace corvid::runtime {

class ScriptedDialogue : public Dialogue {
 public:
  // One reply; `before` runs first and may throw.
  struct Line {
    model::Turn turn;
    std::function<void()> before;
    bool until_cancelled = false;
  };

  std::string description() const override { return "a script"; }

  void append(Entry entry) override { entries.push_back(std::move(entry)); }

  asio::awaitable<model::Turn> reply(OnDelta on_delta) override {
    if (script.empty()) throw RuntimeError("The script has ended.", kModelError);
    Line line = std::move(script.front());
    script.pop_front();
    if (line.before) line.before();
    if (line.until_cancelled) {
      asio::steady_timer forever(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
      co_await asio::this_coro::throw_if_cancelled(false);
      boost::system::error_code cancelled;
      auto token = asio::redirect_error(asio::use_awaitable, cancelled);
      co_await forever.async_wait(token);
      line.turn.stop = model::Stop::interrupted;
    }
    ReplyProgress progress;
    progress.delta = {line.turn.reasoning, line.turn.content, ""};
    on_delta(progress);
    entries.emplace_back(Reply{line.turn, ""});
    co_return line.turn;
  }

  asio::awaitable<SettleCost> settle() override {
    ++settled;
    co_return SettleCost{7, 3};
  }

  asio::awaitable<void> replace(std::vector<Entry> with) override {
    ++replaced;
    entries = std::move(with);
    co_return;
  }

  // As if one byte were one token.
  Room room() const override {
    int used = 0;
    for (const Entry& entry : entries) {
      if (const auto* text = std::get_if<UserText>(&entry)) used += text->text.size();
      if (const auto* results = std::get_if<Results>(&entry)) {
        for (const model::ToolResult& result : results->results) used += result.text.size();
      }
    }
    return {used, limit_tokens};
  }

  std::deque<Line> script;
  std::vector<Entry> entries;
  int limit_tokens = 0;
  int settled = 0;
  int replaced = 0;
};

inline ScriptedDialogue::Line says(std::string content) {
  return {{.stop = model::Stop::end, .reasoning = "hm", .content = std::move(content)}, {}, false};
}

inline ScriptedDialogue::Line calls(std::vector<model::ToolCall> calls) {
  ScriptedDialogue::Line line{{.stop = model::Stop::calls, .reasoning = "hm"}, {}, false};
  line.turn.calls = std::move(calls);
  return line;
}

}  // namespace corvid::runtime
