#include "tools/toolbox.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/arguments.h"
#include "tools/error.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxCallsPerTurn = 64;

ToolResult error_result(const ToolCall& call, const std::string& text) {
  return {call.id, "Error: " + text, true};
}

// What the hook before a call decided: go on with these arguments, or a denial.
struct Decision {
  std::string arguments;
  std::optional<std::string> denial;
};

asio::awaitable<Decision> ask_before(const ToolCall& call, ToolContext& context) {
  Decision decision{call.arguments, {}};
  if (!context.hook) co_return decision;
  ordered_json question;
  question["name"] = call.name;
  question["arguments"] = ordered_json::parse(call.arguments);
  const std::string reply = co_await context.hook("before_call", question.dump());
  if (reply.empty()) co_return decision;
  const ordered_json answer = ordered_json::parse(reply);
  if (answer.contains("deny")) decision.denial = answer["deny"].get<std::string>();
  if (answer.contains("arguments")) decision.arguments = answer["arguments"].dump();
  co_return decision;
}

asio::awaitable<ToolResult> tell_after(const ToolCall& call, ToolResult result,
                                       ToolContext& context) {
  if (!context.hook) co_return result;
  ordered_json news;
  news["name"] = call.name;
  news["arguments"] = ordered_json::parse(call.arguments);
  result.text = escape_invalid(result.text);
  news["result"] = result.text;
  news["is_error"] = result.is_error;
  const std::string reply = co_await context.hook("after_call", news.dump());
  if (reply.empty()) co_return result;
  const ordered_json answer = ordered_json::parse(reply);
  if (answer.contains("result")) result.text = answer["result"].get<std::string>();
  co_return result;
}

// What is still running of one batch. Lives on the io thread, shared with the completion handlers.
struct Batch {
  explicit Batch(const asio::any_io_executor& executor) : all_done(executor) {
    all_done.expires_at(asio::steady_timer::time_point::max());
  }
  std::vector<std::optional<ToolResult>> results;
  std::deque<asio::cancellation_signal> signals;
  std::size_t running = 0;
  asio::steady_timer all_done;  // cancelled when `running` reaches 0
};

}  // namespace

struct Toolbox::Parts {
  struct Entry {
    std::unique_ptr<Tool> tool;
    ArgumentSchema schema;
  };
  std::vector<Entry> entries;

  const Entry* find(std::string_view name) const;
  std::string names() const;
  std::size_t batch_end(const std::vector<ToolCall>& calls, std::size_t first) const;
  asio::awaitable<ToolResult> answer(ToolCall call, ToolContext context);
  // True when it was interrupted; `results` grows by one for each call all the same.
  asio::awaitable<bool> run_batch(std::span<const ToolCall> calls, ToolContext& context,
                                  const Observer& observer, std::vector<ToolResult>& results);
  asio::awaitable<std::vector<ToolResult>> run_all(std::vector<ToolCall> calls,
                                                   ToolContext& context, Observer observer);
};

Toolbox::Toolbox() : parts_(std::make_unique<Parts>()) {}
Toolbox::~Toolbox() = default;

void Toolbox::add(std::unique_ptr<Tool> tool) {
  const ToolSpec& spec = tool->spec();
  if (parts_->find(spec.name) != nullptr) {
    throw std::invalid_argument("two tools are named " + spec.name);
  }
  ArgumentSchema schema(spec.parameters);
  parts_->entries.push_back({std::move(tool), std::move(schema)});
}

const Tool* Toolbox::find(std::string_view name) const {
  const Parts::Entry* entry = parts_->find(name);
  return entry == nullptr ? nullptr : entry->tool.get();
}

std::vector<ToolSpec> Toolbox::specs() const {
  std::vector<ToolSpec> specs;
  for (const Parts::Entry& entry : parts_->entries) specs.push_back(entry.tool->spec());
  return specs;
}

// The calls get a coroutine of their own, so that its cancellation state is not the caller's.
asio::awaitable<std::vector<ToolResult>> Toolbox::run(std::vector<ToolCall> calls,
                                                      ToolContext& context, Observer observer) {
  const auto executor = co_await asio::this_coro::executor;
  auto all = parts_->run_all(std::move(calls), context, std::move(observer));
  co_return co_await asio::co_spawn(executor, std::move(all), asio::use_awaitable);
}

const Toolbox::Parts::Entry* Toolbox::Parts::find(std::string_view name) const {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
    return entry.tool->spec().name == name;
  });
  return found == entries.end() ? nullptr : &*found;
}

std::string Toolbox::Parts::names() const {
  std::string names;
  for (const Entry& entry : entries) {
    names += (names.empty() ? "" : ", ") + entry.tool->spec().name;
  }
  return names;
}

// Calls that only read run side by side with their neighbours; any other runs alone.
std::size_t Toolbox::Parts::batch_end(const std::vector<ToolCall>& calls, std::size_t first) const {
  const auto reads = [&](const ToolCall& call) {
    const Entry* entry = find(call.name);
    return entry == nullptr || entry->tool->read_only();
  };
  std::size_t end = first + 1;
  if (reads(calls[first])) {
    while (end < calls.size() && reads(calls[end])) ++end;
  }
  return end;
}

asio::awaitable<ToolResult> Toolbox::Parts::answer(ToolCall call, ToolContext context) {
  const Entry* entry = find(call.name);
  if (entry == nullptr) {
    co_return error_result(
        call, "there is no tool named `" + call.name + "`. The tools are: " + names() + ".");
  }
  std::optional<std::string> problem;
  if (!call.problem.empty())
    problem = call.problem;
  else
    problem = entry->schema.problem(call.arguments);
  if (problem) co_return error_result(call, "`" + call.name + "` was not run. " + *problem);
  try {
    Decision decision = co_await ask_before(call, context);
    if (decision.denial) co_return error_result(call, "denied: " + *decision.denial);
    if (decision.arguments != call.arguments) {
      call.arguments = std::move(decision.arguments);
      problem = entry->schema.problem(call.arguments);
      if (problem) co_return error_result(call, "a plugin spoiled the arguments. " + *problem);
    }
    ToolResult result = co_await entry->tool->call(call, context);
    co_await asio::this_coro::throw_if_cancelled(false);  // what it gave counts, interrupted or not
    result = co_await tell_after(call, std::move(result), context);
    result.call_id = call.id;
    co_return result;
  } catch (const boost::system::system_error& problem) {
    if (problem.code() == asio::error::operation_aborted) {
      co_return error_result(call, "interrupted before it finished; its effects are unknown.");
    }
    co_return error_result(call, "`" + call.name + "` failed: " + problem.what());
  } catch (const std::exception& problem) {
    co_return error_result(call, "`" + call.name + "` failed: " + problem.what());
  }
}

asio::awaitable<bool> Toolbox::Parts::run_batch(std::span<const ToolCall> calls,
                                                ToolContext& context, const Observer& observer,
                                                std::vector<ToolResult>& results) {
  const auto executor = co_await asio::this_coro::executor;
  auto batch = std::make_shared<Batch>(executor);
  batch->results.resize(calls.size());
  batch->running = calls.size();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const ToolCall& call = calls[i];
    ToolContext own = context;
    if (observer.output) {
      own.on_output = [output = observer.output, call](std::string_view text) {
        output(call, text);
      };
    }
    if (observer.started) observer.started(call);
    batch->signals.emplace_back();
    auto finish = [batch, i, call](std::exception_ptr failure, ToolResult result) {
      if (failure) result = error_result(call, "interrupted before it started.");
      batch->results[i] = std::move(result);
      if (--batch->running == 0) batch->all_done.cancel();
    };
    asio::co_spawn(executor, answer(call, std::move(own)),
                   asio::bind_cancellation_slot(batch->signals.back().slot(), std::move(finish)));
  }
  bool interrupted = false;
  while (batch->running > 0) {
    boost::system::error_code ignored;
    co_await batch->all_done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (batch->running == 0 || state.cancelled() == asio::cancellation_type::none) continue;
    for (asio::cancellation_signal& signal : batch->signals) {
      signal.emit(asio::cancellation_type::terminal);
    }
    interrupted = true;
    // Waits on without being stopped again: every call ends by itself.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  }
  for (std::optional<ToolResult>& result : batch->results) results.push_back(std::move(*result));
  co_return interrupted;
}

asio::awaitable<std::vector<ToolResult>> Toolbox::Parts::run_all(std::vector<ToolCall> calls,
                                                                 ToolContext& context,
                                                                 Observer observer) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  std::vector<ToolResult> results;
  bool interrupted = false;
  for (std::size_t next = 0; next < calls.size();) {
    const std::size_t first = next;
    if (interrupted) {
      results.push_back(error_result(calls[next++], "not run: the turn was interrupted."));
    } else if (next >= kMaxCallsPerTurn) {
      results.push_back(error_result(
          calls[next++],
          "not run: more than " + std::to_string(kMaxCallsPerTurn) + " calls in one turn."));
    } else {
      next = std::min(batch_end(calls, next), kMaxCallsPerTurn);
      const std::span<const ToolCall> batch(calls.data() + first, next - first);
      interrupted = co_await run_batch(batch, context, observer, results);
    }
    for (std::size_t i = first; i < next; ++i) {
      results[i].text = cut_middle(escape_invalid(results[i].text), context.result_budget_bytes);
      if (observer.finished) co_await observer.finished(calls[i], results[i]);
    }
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) interrupted = true;
  }
  co_return results;
}

}  // namespace corvid::tools
