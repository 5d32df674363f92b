// Running one child process to its end, without ever hanging, flooding or leaking.
//
// The child gets its own session and process group, /dev/null as stdin (or the given bytes), no
// inherited descriptors, and an allow-listed environment. The call returns when the process exits,
// not when its pipe closes; at the deadline, or when the coroutine is cancelled, the whole tree
// gets SIGTERM, then SIGKILL after a grace. Output is drained all the time; the head and the tail
// are kept in memory, everything goes to the spill file when one is asked for. io thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::sandbox {

namespace asio = boost::asio;

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH
  std::filesystem::path cwd;      // inside the policy's reach; empty: the workspace
  std::map<std::string, std::string> extra_environment;
  std::string input;    // stdin; empty: /dev/null
  int input_fd = -1;    // an open file or pipe as stdin instead; stays the caller's
  std::chrono::milliseconds deadline{120'000};
  std::size_t head_bytes = 64 * 1024;               // kept from the start of the output
  std::size_t tail_bytes = 64 * 1024;               // kept from its end
  std::filesystem::path spill;                      // whole output, capped; empty: none
  std::function<void(std::string_view)> on_output;  // raw bytes as they come
};

struct ProcessResult {
  std::optional<int> exit_code;  // or
  std::optional<int> signal;     // how it ended
  bool timed_out = false;
  bool interrupted = false;
  std::string output;              // stdout and stderr as they came, raw bytes; head part
  std::string tail;                // what was kept after the cut; empty when nothing was cut
  std::uint64_t output_bytes = 0;  // in total
  std::vector<std::string> notices;  // sentences: what the sandbox did about it, and why
  std::chrono::milliseconds elapsed{0};
};

}  // namespace corvid::sandbox
