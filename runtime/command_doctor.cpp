// corvid doctor: which means of confinement hold on this machine, and what to do about the others.
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "runtime/commands.h"
#include "runtime/error.h"
#include "sandbox/sandbox.h"

namespace corvid::runtime {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// What a user can do about a rung that does not hold.
std::string advice(const sandbox::Rung& rung) {
  if (rung.name == "user namespace" || rung.name == "mount namespace") {
    if (first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1") {
      return "AppArmor restricts user namespaces: add a profile for corvid with `userns,` or run "
             "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`";
    }
    if (first_line("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
      return "run `sudo sysctl kernel.unprivileged_userns_clone=1`";
    }
    if (first_line("/proc/sys/user/max_user_namespaces") == "0") {
      return "run `sudo sysctl user.max_user_namespaces=10000`";
    }
    return "in a container, allow user namespaces (Docker: --security-opt seccomp=unconfined "
           "--security-opt systempaths=unconfined); in a chroot they are not to be had, enter by "
           "pivot_root instead";
  }
  if (rung.name == "landlock") return "use Linux 5.13 or later, with `landlock` in the lsm= list";
  if (rung.name == "seccomp") return "use a kernel with CONFIG_SECCOMP_FILTER";
  return {};
}

int report() {
  utsname system{};
  ::uname(&system);
  std::printf("%s %s, %s\n\nSandbox\n", system.sysname, system.release,
              ::geteuid() == 0 ? "as root" : "as an ordinary user");
  char folder[] = "/tmp/corvid-doctor-XXXXXX";
  const char* workspace = ::mkdtemp(folder);
  const auto sandbox = sandbox::make_sandbox(sandbox::default_policy(workspace ? workspace : "."));
  bool all_hold = true;
  std::map<std::string, int> said;
  for (const sandbox::Rung& rung : sandbox->rungs()) {
    all_hold &= rung.holds;
    std::printf("  %-4s %s%s%s\n", rung.holds ? "ok" : "NO", rung.name.c_str(),
                rung.why.empty() ? "" : ": ", rung.why.c_str());
    const std::string help = rung.holds ? "" : advice(rung);
    if (!help.empty() && said[help]++ == 0) std::printf("       %s\n", help.c_str());
  }
  if (workspace) ::rmdir(workspace);
  std::printf("\n%s\n", all_hold ? "Commands are fully confined."
                                 : "Commands run on the rungs that hold; the others are missing.");
  return all_hold ? kOk : kFailed;
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  app.add_subcommand("doctor", "Say what of the sandbox holds on this machine, and what is missing")
      ->callback([] { throw CLI::RuntimeError(report()); });
}

}  // namespace corvid::runtime
