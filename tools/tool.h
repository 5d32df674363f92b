// A tool: what the model can call.
//
// call() never throws for what a model can cause: bad arguments, missing files, a policy refusal
// and a deadline are results with is_error set, worded so that the model can correct itself.
// Exceptions mean machine trouble; the Toolbox turns them into a result. io thread; blocking work
// goes through offload. Cancelling the coroutine interrupts the tool and everything it started.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"
#include "sandbox/sandbox.h"

namespace corvid::sandbox {
class Files;
}

namespace corvid::tools {

namespace asio = boost::asio;
using model::ToolCall;
using model::ToolResult;
using model::ToolSpec;

// What a call needs beyond what the policy gives.
struct Request {
  std::string what;         // "write /etc/hosts": goes on a sentence that starts "may it"
  std::string key;          // "always" and "never" answer all with this key: "write /etc/hosts"
  std::string flag;         // what on the command line allows it from the start: "--writable /etc"
  bool wants_text = false;  // `what` is a question, and its answer a line of text
};

struct Verdict {
  bool allowed = false;
  std::string why;      // when it is not: a sentence for the model
  bool always = false;  // the user does not want to be asked about it again
  std::string text;     // the line that was asked for
};

// What a tool may use, lent by the session for one call. Outlives the call.
struct ToolContext {
  sandbox::Sandbox& sandbox;
  const sandbox::Files& files;
  asio::thread_pool& pool;             // for offload
  std::filesystem::path spill_folder;  // full outputs, readable by `read`
  std::size_t result_budget_bytes = 16 * 1024;

  // Output as it comes, already valid UTF-8. May be empty.
  std::function<void(std::string_view)> on_output;
  // Asks the user for what the policy does not give; where nobody can be asked the answer is no.
  std::function<asio::awaitable<Verdict>(Request request)> approve;
  // Runs plugin hooks, JSON in and out; an empty answer changes nothing. May be empty.
  //   before_call  {name, arguments}                    ->  {arguments} or {deny: reason}
  //   after_call   {name, arguments, result, is_error}  ->  {result: text}
  //   on_prompt    {text}                               ->  {text} or {deny: reason}
  //   on_stop      {answer, steps}                      ->  {again: what is still to be done}
  std::function<asio::awaitable<std::string>(std::string_view when, std::string json)> hook;
};

class Tool {
 public:
  virtual ~Tool() = default;
  virtual const ToolSpec& spec() const = 0;
  // True when the tool only reads: such calls of one turn run side by side.
  virtual bool read_only() const { return false; }
  // What it goes on doing between calls, one line for people each.
  virtual std::vector<std::string> background() const { return {}; }
  // `call.arguments` has been checked against the schema.
  virtual asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) = 0;
};

}  // namespace corvid::tools
