#include "runtime/terminal_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace corvid::runtime {
namespace {

constexpr std::size_t kPendingLimitBytes = 256u << 10;
constexpr std::size_t kPieceBytes = 512;  // into a descriptor that would block

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

TerminalOutput::TerminalOutput(int descriptor) : given_(descriptor), descriptor_(descriptor) {
  is_terminal_ = isatty(descriptor) == 1;
  if (!is_terminal_) return;
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  const int own = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (own < 0) return;
  descriptor_ = own;
  is_own_ = true;
}

TerminalOutput::~TerminalOutput() {
  flush(std::chrono::seconds(2));
  if (is_own_) close(descriptor_);
}

void TerminalOutput::write(std::string_view text) {
  if (pending_.size() + text.size() > kPendingLimitBytes) {
    push();
    if (pending_.size() + text.size() > kPendingLimitBytes) {
      n_dropped_ += text.size();
      return;
    }
  }
  if (n_dropped_ > 0 && pending_.empty()) {
    pending_ =
        "\n[" + std::to_string(n_dropped_) + " bytes are not shown: the terminal was slow]\n";
    n_dropped_ = 0;
  }
  pending_ += text;
  push();
}

void TerminalOutput::push() {
  std::size_t done = 0;
  while (done < pending_.size()) {
    pollfd waited = {descriptor_, POLLOUT, 0};
    if (poll(&waited, 1, 0) < 1) break;
    const std::size_t piece = is_own_ ? pending_.size() : kPieceBytes;
    const ssize_t n =
        ::write(descriptor_, pending_.data() + done, std::min(piece, pending_.size() - done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) done = pending_.size();  // the terminal is gone
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  pending_.erase(0, done);
}

bool TerminalOutput::flush(std::chrono::milliseconds limit) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point until = Clock::now() + limit;
  push();
  while (!pending_.empty()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0) return false;
    pollfd waited = {descriptor_, POLLOUT, 0};
    if (poll(&waited, 1, static_cast<int>(left.count())) < 0 && errno != EINTR) return false;
    push();
  }
  return true;
}

int TerminalOutput::columns() const {
  winsize size = {};
  const bool known = ioctl(given_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

bool TerminalOutput::has_cursor() const {
  const std::string_view kind = environment("TERM");
  return is_terminal_ && !kind.empty() && kind != "dumb";
}

bool TerminalOutput::has_colour() const {
  return has_cursor() && environment("NO_COLOR").empty();
}

}  // namespace corvid::runtime
