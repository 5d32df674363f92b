#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <poll.h>
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
#include "sandbox/proxy.h"
#include "sandbox/setup.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {
namespace {

constexpr int kSetupMilliseconds = 10'000;

std::vector<std::string> assignments(const std::map<std::string, std::string>& environment) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : environment) texts.push_back(name + "=" + value);
  return texts;
}

// Folders as the kernel names them, so that no rung trips over one that is not there.
Policy checked(Policy policy) {
  if (policy.mode == Policy::Mode::off) return policy;
  if (policy.workspace == "/") {
    throw SandboxError("sandbox: the whole machine cannot be the workspace; choose a folder");
  }
  for (std::filesystem::path& folder : policy.writable) {
    std::error_code error;
    const std::filesystem::path real = std::filesystem::canonical(folder, error);
    if (error || !std::filesystem::is_directory(real, error)) {
      throw SandboxError("sandbox: the writable folder " + folder.string() + " does not exist");
    }
    folder = real;
  }
  std::erase_if(policy.readable, [](const std::filesystem::path& folder) {
    std::error_code error;
    return !std::filesystem::exists(folder, error);
  });
  return policy;
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
  explicit StubSandbox(Policy policy);

  const Policy& policy() const override { return setup_.policy; }
  const std::vector<Rung>& rungs() const override;
  asio::awaitable<Process> start(ProcessSpec spec) override;
  void ask_about_hosts(AskHost ask) override { ask_ = std::move(ask); }

 private:
  // The stub climbs while the program goes on; this is where its answer is waited for.
  void wait_until_ready() const;
  void start_stub() const;
  void start_proxy(const asio::any_io_executor& io);
  wire::Fields order(const ProcessSpec& spec) const;

  mutable Setup setup_;
  mutable std::unique_ptr<StubProcess> stub_;
  mutable bool ready_ = false;
  mutable std::string refusal_;  // why nothing may run
  mutable std::vector<Rung> rungs_;
  mutable std::string home_, tmp_;
  mutable Descriptor proxy_socket_;  // until the proxy listens on it
  std::shared_ptr<Proxy> proxy_;
  AskHost ask_;
};

StubSandbox::StubSandbox(Policy policy) {
  setup_.policy = checked(std::move(policy));
  if (setup_.policy.mode == Policy::Mode::on) setup_.git_config = private_git_config();
  start_stub();
}

void StubSandbox::start_stub() const {
  stub_ = std::make_unique<StubProcess>();
  ready_ = false;
  wire::send(stub_->control(), wire::Kind::setup, encode(setup_));
}

void StubSandbox::wait_until_ready() const {
  if (!refusal_.empty()) throw SandboxError(refusal_);
  while (!ready_) {
    pollfd answer{stub_->control(), POLLIN, 0};
    int n;
    do n = ::poll(&answer, 1, kSetupMilliseconds);
    while (n < 0 && errno == EINTR);
    std::optional<wire::Packet> packet;
    if (n > 0) packet = wire::receive(stub_->control());
    if (!packet) throw SandboxError("sandbox: it does not start; see `corvid doctor`");
    if (packet->kind == wire::Kind::broken) {
      const std::string rung = packet->fields.take_text();
      setup_.skip.push_back(rung + ": " + packet->fields.take_text());
      start_stub();
      continue;
    }
    if (packet->kind == wire::Kind::failed) {
      refusal_ = "sandbox: " + packet->fields.take_text() +
                 "; nothing runs, as it would not be confined as it should be";
      throw SandboxError(refusal_);
    }
    const std::vector<std::string> names = packet->fields.take_texts();
    const std::vector<std::string> whys = packet->fields.take_texts();
    rungs_.clear();
    for (std::size_t i = 0; i < names.size(); ++i) {
      rungs_.push_back({names[i], whys[i].empty(), whys[i]});
    }
    home_ = packet->fields.take_text();
    tmp_ = packet->fields.take_text();
    if (!packet->descriptors.empty()) proxy_socket_ = std::move(packet->descriptors[0]);
    ready_ = true;
  }
}

const std::vector<Rung>& StubSandbox::rungs() const {
  wait_until_ready();
  return rungs_;
}

std::map<std::string, std::string> proxy_environment() {
  const std::string proxy = "http://127.0.0.1:" + std::to_string(kProxyPort);
  const std::string direct = "localhost,127.0.0.1,::1";
  return {{"http_proxy", proxy}, {"https_proxy", proxy}, {"all_proxy", proxy},
          {"HTTP_PROXY", proxy}, {"HTTPS_PROXY", proxy}, {"ALL_PROXY", proxy},
          {"no_proxy", direct},  {"NO_PROXY", direct}};
}

// Hosts can only be told apart where there is no other way out.
void StubSandbox::start_proxy(const asio::any_io_executor& io) {
  if (proxy_ || !policy().proxy || policy().mode == Policy::Mode::off) return;
  std::vector<HostRule> rules;
  for (const std::string& text : policy().hosts) {
    const auto rule = parse_host_rule(text);
    if (!rule) throw SandboxError("`" + text + "` is no host that can be allowed");
    rules.push_back(*rule);
  }
  if (!proxy_socket_) {
    if (rules.empty()) return;
    throw SandboxError(
        "sandbox: some hosts alone cannot be allowed on this machine, as it gives "
        "no private network; see `corvid doctor`");
  }
  proxy_ = std::make_shared<Proxy>(io, std::move(proxy_socket_), std::move(rules));
  proxy_->ask_with(ask_);
}

wire::Fields StubSandbox::order(const ProcessSpec& spec) const {
  auto environment = command_environment(home_);
  if (!tmp_.empty()) environment["TMPDIR"] = tmp_;
  if (proxy_) environment.merge(proxy_environment());
  for (const auto& [name, value] : spec.extra_environment) environment[name] = value;
  wire::Fields fields;
  fields.put(spec.argv).put(assignments(environment));
  fields.put((spec.cwd.empty() ? policy().workspace : spec.cwd).string());
  return fields.put(spec.terminal);
}

asio::awaitable<Process> StubSandbox::start(ProcessSpec spec) {
  if (spec.argv.empty()) throw SandboxError("command: there is none");
  wait_until_ready();
  auto executor = co_await asio::this_coro::executor;
  start_proxy(executor);
  const wire::Fields fields = order(spec);
  auto call = std::make_shared<Call>(executor, std::move(spec));
  call->news_from([weak = std::weak_ptr(proxy_)] {
    const auto proxy = weak.lock();
    return proxy ? proxy->news() : std::vector<std::string>();
  });
  call->start(stub_->control(), fields);
  co_return Process(std::move(call));
}

}  // namespace

asio::awaitable<ProcessResult> Sandbox::run(ProcessSpec spec) {
  Process process = co_await start(std::move(spec));
  // From here on a cancellation is an outcome: everything is ended first, then it shows.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!process.ended()) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) process.end();
    co_await process.wait(std::chrono::steady_clock::time_point::max());
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return process.take();
}

std::string shortfall(const Sandbox& sandbox) {
  if (sandbox.policy().mode == Policy::Mode::off) {
    return "The sandbox is OFF: commands run with all your rights, and can read and change "
           "everything you can.";
  }
  std::string missing;
  for (const Rung& rung : sandbox.rungs()) {
    if (!rung.holds) missing += (missing.empty() ? "" : ", ") + rung.name;
  }
  if (missing.empty()) return missing;
  return "The sandbox is weaker than it should be; missing: " + missing + ". See `corvid doctor`.";
}

std::unique_ptr<Sandbox> make_sandbox(Policy policy) {
  return std::make_unique<StubSandbox>(std::move(policy));
}

}  // namespace corvid::sandbox
