#include "tools/jobs.h"

#include <boost/asio/this_coro.hpp>

#include "tools/shell_text.h"

namespace corvid::tools {
namespace {

constexpr std::size_t kShownCommandBytes = 60;
constexpr std::size_t kMaxKept = 32;
constexpr char kEndOfInput = '\x04';  // what Ctrl-D types

std::string seconds_since(std::chrono::steady_clock::time_point start) {
  const auto elapsed = std::chrono::steady_clock::now() - start;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(elapsed).count();
  return std::to_string(seconds) + " s";
}

}  // namespace

std::string Job::title() const {
  const std::string line = visible_name(command);
  const std::string_view start = utf8_prefix(line, kShownCommandBytes);
  return "job " + std::to_string(number) + " (`" + std::string(start) +
         (start.size() < line.size() ? "...`)" : "`)");
}

bool Job::type(std::string_view input) {
  const bool closes = !has_terminal && input.ends_with(kEndOfInput);
  if (closes) input.remove_suffix(1);
  const bool good = input.empty() || process.write(input);
  if (closes) process.close_input();
  return good;
}

bool Jobs::full() const {
  int n = 0;
  for (const auto& [number, job] : jobs_) n += !job->process.ended();
  return n >= kMaxRunning;
}

std::shared_ptr<Job> Jobs::add(std::shared_ptr<Job> job) {
  job->number = ++last_number_;
  for (auto i = jobs_.begin(); i != jobs_.end() && jobs_.size() >= kMaxKept;) {
    i = i->second->process.ended() ? jobs_.erase(i) : std::next(i);  // the oldest
  }
  jobs_[job->number] = job;
  return job;
}

std::shared_ptr<Job> Jobs::find(int number) const {
  const auto found = jobs_.find(number);
  return found == jobs_.end() ? nullptr : found->second;
}

void Jobs::forget(int number) {
  jobs_.erase(number);
}

std::vector<std::string> Jobs::running(int but) const {
  std::vector<std::string> lines;
  for (const auto& [number, job] : jobs_) {
    if (number == but || job->process.ended()) continue;
    lines.push_back(job->title() + " runs, " + seconds_since(job->started));
  }
  return lines;
}

std::vector<std::string> Jobs::news() {
  std::vector<std::string> lines;
  for (const auto& [number, job] : jobs_) {
    if (!job->process.ended() || std::exchange(job->end_is_known, true)) continue;
    lines.push_back(job->title() + " has ended: shell {\"job\": " + std::to_string(number) +
                    "} shows how");
  }
  return lines;
}

asio::awaitable<std::string> job_text(std::shared_ptr<Job> job,
                                      std::chrono::steady_clock::time_point until,
                                      std::size_t budget_bytes, std::vector<std::string> notices) {
  // An interrupt stops the waiting, not the job.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await job->process.wait(until);
  co_await asio::this_coro::throw_if_cancelled(throws);
  sandbox::ProcessResult now = job->process.take();
  now.notices.insert(now.notices.begin(), notices.begin(), notices.end());
  ShellTextOptions options{.budget_bytes = budget_bytes, .spill = job->spill.string()};
  if (!job->process.ended()) {
    options.ending =
        "[job " + std::to_string(job->number) + " runs, " + seconds_since(job->started) + "]";
  } else {
    job->end_is_known = true;
    const std::string name = "job " + std::to_string(job->number);
    if (job->stopped) options.ending = cut_short(now, name + " stopped");
    if (now.timed_out) {
      options.ending = cut_short(now, "timed out after " + seconds_since(job->started));
    }
  }
  co_return shell_text(now, options);
}

}  // namespace corvid::tools
