// corvid sandbox -- CMD...: runs any command under the policy that tools run under.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "runtime/commands.h"
#include "runtime/common_flags.h"
#include "runtime/error.h"
#include "sandbox/error.h"
#include "sandbox/sandbox.h"
#include "sandbox/seatbelt.h"

namespace corvid::runtime {
namespace {

namespace asio = boost::asio;

// As shells and env(1) have them.
constexpr int kSandboxFailed = 125;
constexpr int kCannotStart = 126;
constexpr int kSignalBase = 128;
constexpr int kTimedOut = 124;

struct Options {
  std::string cwd = ".";
  std::vector<std::string> writable;
  std::string allow_net;
  std::string mode = "on";
  bool seatbelt = false;
  double timeout_seconds = 0;
  std::vector<std::string> command;
};

sandbox::Policy policy_of(const Options& options) {
  sandbox::Policy policy = sandbox::default_policy(options.cwd);
  for (const std::string& folder : options.writable) {
    policy.writable.push_back(sandbox::default_policy(folder).workspace);
  }
  SandboxSettings network;
  allow_hosts(options.allow_net, network);
  policy.network = network.network;
  policy.hosts = network.hosts;
  policy.proxy = !policy.network && !policy.hosts.empty();
  if (options.mode == "off") policy.mode = sandbox::Policy::Mode::off;
  return policy;
}

sandbox::ProcessSpec spec_of(const Options& options) {
  sandbox::ProcessSpec spec;
  spec.argv = options.command;
  // A terminal is not handed in: a command could type into it.
  if (!::isatty(STDIN_FILENO)) spec.input_fd = STDIN_FILENO;
  spec.deadline = std::chrono::hours(24 * 365);
  if (options.timeout_seconds > 0) {
    const std::chrono::duration<double> seconds(options.timeout_seconds);
    spec.deadline = std::chrono::duration_cast<std::chrono::milliseconds>(seconds);
  }
  spec.on_output = [](std::string_view bytes) {
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    std::fflush(stdout);
  };
  return spec;
}

sandbox::ProcessResult run_to_end(asio::io_context& io, sandbox::Sandbox& sandbox,
                                  sandbox::ProcessSpec spec) {
  asio::cancellation_signal cancel;
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) cancel.emit(asio::cancellation_type::terminal);
  });
  std::exception_ptr failure;
  sandbox::ProcessResult result;
  const auto finished = [&](std::exception_ptr error, sandbox::ProcessResult value) {
    failure = error;
    result = std::move(value);
    signals.cancel();
    io.stop();  // a proxy would go on listening
  };
  asio::co_spawn(io, sandbox.run(std::move(spec)),
                 asio::bind_cancellation_slot(cancel.slot(), finished));
  io.run();
  if (failure) std::rethrow_exception(failure);
  return result;
}

int run(const Options& options) {
  try {
    if (options.seatbelt) {
      std::fputs(sandbox::seatbelt_profile(policy_of(options), "/private/tmp/corvid", 0).c_str(),
                 stdout);
      return kOk;
    }
    if (options.command.empty())
      throw RuntimeError("Which command? For example: corvid sandbox -- make test", kUsage);
    asio::io_context io;  // outlives the sandbox, whose proxy listens on it
    const std::unique_ptr<sandbox::Sandbox> sandbox = sandbox::make_sandbox(policy_of(options));
    const std::string missing = sandbox::shortfall(*sandbox);
    if (!missing.empty()) std::fprintf(stderr, "corvid: %s\n", missing.c_str());
    const sandbox::ProcessResult result = run_to_end(io, *sandbox, spec_of(options));
    for (const std::string& notice : result.notices) {
      std::fprintf(stderr, "corvid: %s\n", notice.c_str());
    }
    if (result.timed_out) return kTimedOut;
    return result.signal ? kSignalBase + *result.signal : result.exit_code.value_or(0);
  } catch (const sandbox::SandboxError& error) {
    std::fprintf(stderr, "corvid: %s\n", error.what());
    return std::string_view(error.what()).starts_with("command:") ? kCannotStart : kSandboxFailed;
  }
}

}  // namespace

void add_sandbox_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "sandbox", "Run a command confined as tools are: corvid sandbox -- make test");
  command->add_option("--cwd", options->cwd, "The workspace: where it may write")
      ->option_text("DIR");
  command->add_option("--writable", options->writable, "A further folder where it may write")
      ->option_text("DIR");
  command->add_flag("--allow-net{*}", options->allow_net,
                    "Let it use the network, or some hosts: --allow-net=pypi.org,*.github.com");
  command->add_option("--sandbox", options->mode, "off: run it unconfined")
      ->check(CLI::IsMember({"on", "off"}))
      ->type_name("on|off");
  command->add_option("--timeout", options->timeout_seconds, "End it after so many seconds");
  command->add_flag("--print-seatbelt", options->seatbelt,
                    "Print the policy as a profile for macOS's sandbox-exec (not tried on a Mac)");
  command->add_option("command", options->command, "The command and its arguments, after --");
  command->positionals_at_end();
  command->callback([options] { throw CLI::RuntimeError(run(*options)); });
}

}  // namespace corvid::runtime
