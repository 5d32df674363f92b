// /v1/sessions: the agent over HTTP. The sessions are those of the command line, their events those
// of `corvid run --json`.
//
//   POST /v1/sessions                        {cwd, thinking, max_steps, temperature, ...}
//   GET  /v1/sessions, /v1/sessions/ID
//   POST /v1/sessions/ID/prompt              {text}; the turn goes on when the client is gone
//   GET  /v1/sessions/ID/events              as they come, after Last-Event-ID when there is one
//   POST /v1/sessions/ID/approvals/QUESTION  {answer: once, always, no or never}
//   POST /v1/sessions/ID/interrupt
//
// Only sessions in one of the workspaces are to be seen or made, and where clients need keys, only
// those that were made with the request's own. A session is opened by its first prompt and has one
// at a time. All talk to the server's model, on its engine thread. io thread
// only; the journal is read and agents are made on the journal thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "model/text/json_field.h"
#include "runtime/agent.h"
#include "runtime/serve/event_log.h"
#include "runtime/serve/http_server.h"

namespace corvid::runtime {

class AgentSessions {
 public:
  struct Options {
    Settings settings;                              // of every session, unless it says otherwise
    std::vector<std::filesystem::path> workspaces;  // canonical folders
    bool keys = false;  // each of them has its own sessions
    int working = 4;                                // sessions at the same time
    std::chrono::milliseconds keep_alive = std::chrono::seconds(5);
    std::chrono::milliseconds patience = std::chrono::minutes(10);  // for an answer to a question
  };
  AgentSessions(Commons& commons, Options options);
  ~AgentSessions();

  static bool has(std::string_view path);
  // Answers a request to such a path. ApiError.
  asio::awaitable<void> handle(std::shared_ptr<Exchange> exchange);
  // Ends all turns; the io thread's work is done soon after.
  void stop();
  int working() const { return working_; }

 private:
  struct Live;  // a session that somebody has asked for since the server started
  struct Question;
  struct Asked {
    std::string id;
    std::uint64_t owner = 0;  // who asks
  };
  using SharedLive = std::shared_ptr<Live>;

  asio::awaitable<HttpAnswer> answer(std::shared_ptr<Exchange> exchange,
                                     std::vector<std::string> words);
  asio::awaitable<HttpAnswer> list(std::uint64_t owner);
  asio::awaitable<HttpAnswer> create(std::shared_ptr<Exchange> exchange);
  asio::awaitable<HttpAnswer> describe(Asked asked);
  asio::awaitable<HttpAnswer> prompt(std::shared_ptr<Exchange> exchange, Asked asked);
  asio::awaitable<HttpAnswer> interrupt(Asked asked);
  asio::awaitable<HttpAnswer> approve(std::shared_ptr<Exchange> exchange, Asked asked,
                                      std::string question_id);
  asio::awaitable<void> follow(std::shared_ptr<Exchange> exchange, Asked asked);

  nlohmann::ordered_json told(const memory::SessionInfo& info) const;
  bool may_see(const memory::SessionInfo& info, std::uint64_t owner) const;
  asio::awaitable<memory::SessionInfo> info_of(Asked asked);
  asio::awaitable<SharedLive> find(Asked asked);
  asio::awaitable<void> open(SharedLive live);
  asio::awaitable<std::unique_ptr<Agent>> make_agent(AgentOptions options);
  void begin(SharedLive live, std::unique_ptr<Agent> agent);
  void turn_ended(SharedLive live);
  void close(SharedLive live);
  void make_room();
  asio::awaitable<Approvals::Answer> ask(Live& live, tools::Request request);
  template <typename Read>
  asio::awaitable<std::invoke_result_t<Read&, const model::JsonField&>> read_body(
      std::shared_ptr<Exchange> exchange, Read read);
  template <typename Work>
  asio::awaitable<std::invoke_result_t<Work&, memory::Journal&>> with_journal(Work work);

  Commons& commons_;
  const Options options_;
  std::map<std::string, SharedLive> live_;
  int working_ = 0;
  bool stopping_ = false;
};

}  // namespace corvid::runtime
