#include "sandbox/watch.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "sandbox/descriptor.h"
#include "sandbox/tree.h"

namespace corvid::sandbox {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t kDiskFloorBytes = 256 * kMebibyte;

std::string small_file(pid_t pid, const char* name) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(4096, 0);
  const ssize_t n = file ? ::read(file.get(), text.data(), text.size()) : 0;
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

// Quick, but counts pages that processes share once for each.
std::uint64_t resident_bytes(pid_t pid) {
  unsigned long total = 0, resident = 0;
  std::sscanf(small_file(pid, "statm").c_str(), "%lu %lu", &total, &resident);
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Exact, but slow.
std::uint64_t proportional_bytes(pid_t pid) {
  const std::string text = small_file(pid, "smaps_rollup");
  const std::size_t at = text.find("\nPss:");
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + 5, nullptr, 10) * 1024;
}

std::uint64_t sum(const std::vector<pid_t>& processes, std::uint64_t (*bytes)(pid_t)) {
  std::uint64_t total = 0;
  for (const pid_t pid : processes) total += bytes(pid);
  return total;
}

}  // namespace

Watch::Watch(const Policy& policy) : policy_(policy), floor_bytes_(disk_floor()) {}

std::uint64_t Watch::free_bytes() const {
  struct statvfs disk {};
  if (::statvfs(policy_.workspace.c_str(), &disk) != 0) return UINT64_MAX;
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

std::uint64_t Watch::disk_floor() const {
  return free_bytes() > 2 * kDiskFloorBytes ? kDiskFloorBytes : 0;
}

std::string Watch::breach() const {
  if (policy_.mode == Policy::Mode::off) return {};
  const Limits& limits = policy_.limits;
  const std::vector<pid_t> processes = descendants(::getpid());
  if (processes.size() > static_cast<std::size_t>(limits.processes)) {
    return "The command was ended: it ran more than " + std::to_string(limits.processes) +
           " processes.";
  }
  const auto most = static_cast<std::uint64_t>(limits.memory_bytes);
  if (sum(processes, resident_bytes) > most && sum(processes, proportional_bytes) > most) {
    return "The command was ended: it used more than " + std::to_string(most / kMebibyte) +
           " MiB of memory.";
  }
  if (free_bytes() < floor_bytes_) {
    return "The command was ended: it left less than " + std::to_string(floor_bytes_ / kMebibyte) +
           " MiB free on the disk of the workspace.";
  }
  return {};
}

}  // namespace corvid::sandbox
