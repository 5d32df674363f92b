// Where processes run: confined by the strongest means that hold on this machine, or not at all.
//
// Each means (a rung: user, mount, pid and network namespaces, Landlock, seccomp, limits) is probed
// once by really trying it. It fails closed: when the policy's mode is `on` and a rung that held in
// the probe fails for a process, the process does not start. io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/policy.h"
#include "sandbox/process.h"

namespace corvid::sandbox {

struct Rung {
  std::string name;  // "pid namespace"
  bool holds = false;
  std::string why;  // when it does not
};

class Sandbox {
 public:
  virtual ~Sandbox() = default;
  virtual const Policy& policy() const = 0;
  virtual const std::vector<Rung>& rungs() const = 0;
  // SandboxError when the process cannot be started (the message tells sandbox and command apart).
  virtual asio::awaitable<Process> start(ProcessSpec spec) = 0;
  // With the policy's `proxy`: asked about a host that the policy does not name. The answer is no
  // as long as there is nobody to ask.
  using AskHost = std::function<asio::awaitable<bool>(std::string host)>;
  virtual void ask_about_hosts(AskHost) {}
  // To its end. A cancelled coroutine ends the process first, then gives what there is.
  asio::awaitable<ProcessResult> run(ProcessSpec spec);
};

// The best sandbox for this machine under `policy`; with Mode::off, plain processes with the same
// guarantees of process.h. With the policy's `proxy`, the io loop that start() is called on must
// outlive the sandbox: the proxy listens there.
std::unique_ptr<Sandbox> make_sandbox(Policy policy);

// One line for people that says what is missing; empty when everything holds.
std::string shortfall(const Sandbox& sandbox);

// Entry of the hidden helper subcommand: this program starts itself as the single-threaded stub
// that builds the namespaces. Returns its exit code. main() calls it when argv[1] is kStubCommand.
inline constexpr const char* kStubCommand = "__sandbox-stub";
int run_stub(int argc, char** argv);

}  // namespace corvid::sandbox
