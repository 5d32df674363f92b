#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sandbox/call.h"
#include "sandbox/environment.h"
#include "sandbox/error.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {
namespace {

std::vector<std::string> assignments(const std::map<std::string, std::string>& environment) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : environment) texts.push_back(name + "=" + value);
  return texts;
}

// The stub process, from its start to its end.
class StubProcess {
 public:
  StubProcess();
  ~StubProcess();
  StubProcess(const StubProcess&) = delete;
  StubProcess& operator=(const StubProcess&) = delete;

  int control() const { return control_.get(); }

 private:
  Descriptor control_;
  pid_t pid_ = -1;
};

StubProcess::StubProcess() {
  DescriptorPair control = make_socket_pair();
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&files, control.second.get(), 3);

  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);

  const char* argv[] = {"corvid", kStubCommand, nullptr};
  const char* environment[] = {nullptr};
  const int error = ::posix_spawn(&pid_, "/proc/self/exe", &files, &attributes,
                                  const_cast<char**>(argv), const_cast<char**>(environment));
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    throw SandboxError(std::string("sandbox: cannot start /proc/self/exe: ") +
                       std::strerror(error) + " (is /proc mounted?)");
  }
  control_ = std::move(control.first);
}

StubProcess::~StubProcess() {
  control_.reset();  // it kills what runs, and ends
  ::waitpid(pid_, nullptr, 0);
}

class StubSandbox : public Sandbox {
 public:
  explicit StubSandbox(Policy policy) : policy_(std::move(policy)) {}

  const Policy& policy() const override { return policy_; }
  const std::vector<Rung>& rungs() const override { return rungs_; }
  asio::awaitable<ProcessResult> run(ProcessSpec spec) override;

 private:
  wire::Fields order(const ProcessSpec& spec) const;

  Policy policy_;
  std::vector<Rung> rungs_;
  StubProcess stub_;
};

wire::Fields StubSandbox::order(const ProcessSpec& spec) const {
  const char* home = std::getenv("HOME");
  auto environment = command_environment(home ? home : "/");
  for (const auto& [name, value] : spec.extra_environment) environment[name] = value;
  wire::Fields fields;
  fields.put(spec.argv).put(assignments(environment));
  return fields.put((spec.cwd.empty() ? policy_.workspace : spec.cwd).string());
}

asio::awaitable<ProcessResult> StubSandbox::run(ProcessSpec spec) {
  if (spec.argv.empty()) throw SandboxError("command: there is none");
  const wire::Fields fields = order(spec);
  auto executor = co_await asio::this_coro::executor;
  auto call = std::make_shared<Call>(executor, std::move(spec));
  call->start(stub_.control(), fields);

  // From here on a cancellation is an outcome: everything is ended first, then it shows.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!call->done()) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) call->interrupt();
    boost::system::error_code woken;
    co_await call->changed().async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return call->result();
}

}  // namespace

std::unique_ptr<Sandbox> make_sandbox(Policy policy) {
  return std::make_unique<StubSandbox>(std::move(policy));
}

}  // namespace corvid::sandbox
