// The commands of one session that run in the background, kept by the shell tool. They end with
// this object. io thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/process.h"
#include "tools/text.h"
#include "tools/tool.h"

namespace corvid::tools {

struct Job {
  int number = 0;
  std::string command;
  std::filesystem::path spill;  // all of its output
  std::chrono::steady_clock::time_point started;
  sandbox::Process process;
  Utf8Stream text;
  std::function<void(std::string_view)> on_output;  // while somebody listens
  bool has_terminal = false;
  bool stopped = false;  // because it was told to
  bool end_is_known = false;

  std::string title() const;  // "job 2 (`make watch`)"
  // Types into it; a Ctrl-D (\x04) at the end closes an input that is no terminal, as there. False
  // when it does not take it.
  bool type(std::string_view input);
};

class Jobs {
 public:
  static constexpr int kMaxRunning = 8;

  bool full() const;
  int next_number() const { return last_number_ + 1; }
  // Shared with whoever waits for it.
  std::shared_ptr<Job> add(std::shared_ptr<Job> job);
  std::shared_ptr<Job> find(int number) const;
  void forget(int number);
  // Those that run, with how long they do; one line each.
  std::vector<std::string> running(int but = 0) const;
  // A sentence for each that has ended since the last time, for results of other calls.
  std::vector<std::string> news();

 private:
  std::map<int, std::shared_ptr<Job>> jobs_;
  int last_number_ = 0;
};

// Waits for its end until then, and gives what the model reads: what it has printed since the last
// time, `notices`, and in the last line how it goes on: [job 2 runs, 12 s] or how it ended.
asio::awaitable<std::string> job_text(std::shared_ptr<Job> job,
                                      std::chrono::steady_clock::time_point until,
                                      std::size_t budget_bytes, std::vector<std::string> notices);

}  // namespace corvid::tools
