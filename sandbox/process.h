// One child process, without ever hanging, flooding or leaking: what it is to be, how it went, and
// the process itself while it runs.
//
// The child gets its own session and process group, /dev/null as stdin (or the given bytes), no
// inherited descriptors, and an allow-listed environment. It is over when the process exits, not
// when its pipe closes; at the deadline, or when it is told to end, the whole tree gets SIGTERM,
// then SIGKILL after a grace. Output is drained all the time; the head and the tail are kept in
// memory, everything goes to the spill file when one is asked for. io thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
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
  std::string input;          // stdin; empty: /dev/null
  int input_fd = -1;          // an open file or pipe as stdin instead; stays the caller's
  bool open_input = false;    // a pipe as stdin instead, which Process::write fills
  bool terminal = false;      // a terminal of its own as stdin, stdout and stderr instead
  bool errors_apart = false;  // stderr goes to ProcessResult::errors, not into the output
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
  std::string output;                // stdout and stderr as they came, raw bytes; head part
  std::string tail;                  // what was kept after the cut; empty when nothing was cut
  std::uint64_t output_bytes = 0;    // in total
  bool spill_is_cut = false;         // the file has its start alone: the rest was too much
  std::string errors;                // the end of it, if kept apart
  std::vector<std::string> notices;  // sentences: what the sandbox did about it, and why
  std::chrono::milliseconds elapsed{0};
};

class Call;

// A process that runs while its owner does something else. Its tree ends with this object.
class Process {
 public:
  Process() = default;  // none: only to be assigned to
  explicit Process(std::shared_ptr<Call> call);
  Process(Process&&) noexcept = default;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  bool ended() const;
  // Until it has ended, at most until then, or until the coroutine is cancelled. One at a time.
  asio::awaitable<void> wait(std::chrono::steady_clock::time_point until);
  // Into its open input, or typed into its terminal. False when that is not possible: it has ended,
  // has no such input, or does not read what it was given before.
  bool write(std::string_view bytes);
  void close_input();
  // As at the deadline. wait() tells when it is over.
  void end();
  // What it has printed since the last take(), and how it ended if it has: else neither exit_code
  // nor signal. SandboxError when it did not run at all.
  ProcessResult take();

 private:
  std::shared_ptr<Call> call_;
};

}  // namespace corvid::sandbox
