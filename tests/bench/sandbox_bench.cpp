// What the sandbox costs one command: the median time of /bin/true spawned plainly, run by Corvid
// without confinement and with it, and how long a new sandbox takes until its first command has
// run.
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/sandbox.h"

namespace {

using namespace corvid::sandbox;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr int kRuns = 300;
constexpr int kStarts = 20;

double run_one(Sandbox& sandbox) {
  asio::io_context io;
  ProcessSpec spec;
  spec.argv = {"/bin/true"};
  const auto start = std::chrono::steady_clock::now();
  std::exception_ptr failure;
  asio::co_spawn(io, sandbox.run(std::move(spec)),
                 [&](std::exception_ptr error, ProcessResult) { failure = error; });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return Milliseconds(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

Policy policy_of(const std::filesystem::path& folder, Policy::Mode mode) {
  Policy policy = default_policy(folder);
  policy.mode = mode;
  return policy;
}

double command_time(const std::filesystem::path& folder, Policy::Mode mode) {
  const auto sandbox = make_sandbox(policy_of(folder, mode));
  std::vector<double> times;
  for (int i = 0; i < kRuns; ++i) times.push_back(run_one(*sandbox));
  return median(std::move(times));
}

double spawn_time() {
  std::vector<double> times;
  std::string program = "/bin/true";
  char* const argv[] = {program.data(), nullptr};
  for (int i = 0; i < kRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pid_t child = 0;
    if (::posix_spawn(&child, argv[0], nullptr, nullptr, argv, nullptr) != 0) std::abort();
    ::waitpid(child, nullptr, 0);
    times.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
  }
  return median(std::move(times));
}

double first_command_time(const std::filesystem::path& folder) {
  std::vector<double> times;
  for (int i = 0; i < kStarts; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto sandbox = make_sandbox(policy_of(folder, Policy::Mode::on));
    run_one(*sandbox);
    times.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
  }
  return median(std::move(times));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == kStubCommand) return run_stub(argc, argv);
  std::string name = (std::filesystem::temp_directory_path() / "corvid-bench-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(name.data());
  const double spawned = spawn_time();
  const double open = command_time(folder, Policy::Mode::off);
  const double confined = command_time(folder, Policy::Mode::on);
  std::printf("/bin/true, spawned    %6.2f ms\n", spawned);
  std::printf("/bin/true, unconfined %6.2f ms\n", open);
  std::printf("/bin/true, confined   %6.2f ms\n", confined);
  std::printf("the sandbox costs     %6.2f ms (target 5 ms)\n", confined - spawned);
  std::printf("a new sandbox and its first command %6.2f ms\n", first_command_time(folder));
  std::filesystem::remove_all(folder);
  return confined - spawned <= 5 ? 0 : 1;
}
