#include "runtime/key_input.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "model/text/utf8.h"
#include "runtime/error.h"

namespace corvid::runtime {
namespace {

constexpr std::string_view kPasteBegins = "\x1b[200~", kPasteEnds = "\x1b[201~";
constexpr int kSequenceWaitMs = 25;  // for the rest of a sequence that has begun
constexpr wchar_t kQuote = 0x16;     // Ctrl-V: the next character is inserted as it is

}  // namespace

KeyInput::KeyInput(int descriptor) : descriptor_(descriptor) {
  if (pipe2(wake_ends_, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw RuntimeError("Cannot make a pipe for the terminal.", kFailed);
  }
}

KeyInput::~KeyInput() {
  close(wake_ends_[0]);
  close(wake_ends_[1]);
}

void KeyInput::forget() {
  ::tcflush(descriptor_, TCIFLUSH);
  bytes_.clear();
  quoted_.clear();
  pasting_ = false;
}

void KeyInput::wake(char why) noexcept {
  [[maybe_unused]] const ssize_t n = write(wake_ends_[1], &why, 1);  // full: it is awake anyway
}

std::optional<wchar_t> KeyInput::next(const std::function<bool(char)>& woken) {
  for (;;) {
    if (!quoted_.empty()) {
      const wchar_t c = quoted_.front();
      quoted_.pop_front();
      return c;
    }
    if (bytes_.empty() && !fill(woken, -1)) return std::nullopt;
    if (starts_with(pasting_ ? kPasteEnds : kPasteBegins)) {
      bytes_.erase(0, kPasteBegins.size());
      pasting_ = !pasting_;
      continue;
    }
    const std::optional<wchar_t> c = decode();
    if (!c || !pasting_ || *c >= 0x20) {
      if (c && !(pasting_ && *c == 0x7F)) return c;
      if (ended_) return std::nullopt;
    } else if (*c == '\r' || *c == '\n' || *c == '\t') {
      quoted_ = {kQuote, *c == '\t' ? L'\t' : L'\n'};
    }
  }
}

// Reads what is there; waits for it at most `wait_ms` (-1: for ever). False: nothing came.
bool KeyInput::fill(const std::function<bool(char)>& woken, int wait_ms) {
  while (!ended_) {
    pollfd waited[2] = {{descriptor_, POLLIN, 0}, {wake_ends_[0], POLLIN, 0}};
    const int n_ready = poll(waited, 2, wait_ms);
    if (n_ready < 0 && errno == EINTR) continue;
    if (n_ready <= 0) return false;
    if (waited[1].revents && wait_ms < 0) {
      for (char why; read(wake_ends_[0], &why, 1) == 1;) {
        if (!woken(why)) return false;
      }
    }
    if (!waited[0].revents) {
      if (wait_ms >= 0) return false;
      continue;
    }
    char buffer[4096];
    const ssize_t n = read(descriptor_, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      ended_ = true;
      return false;
    }
    bytes_.append(buffer, static_cast<std::size_t>(n));
    return true;
  }
  return false;
}

// A lone Escape is not held back for long.
bool KeyInput::starts_with(std::string_view sequence) {
  const auto ignore = [](char) { return true; };
  while (bytes_.size() < sequence.size() && sequence.starts_with(bytes_)) {
    if (!fill(ignore, kSequenceWaitMs)) return false;
  }
  return std::string_view(bytes_).starts_with(sequence);
}

std::optional<wchar_t> KeyInput::decode() {
  const auto ignore = [](char) { return true; };
  while (model::unfinished_utf8(bytes_) == bytes_.size() && fill(ignore, kSequenceWaitMs)) {
  }
  if (bytes_.empty()) return std::nullopt;
  const model::CodePoint point = model::code_point_at(bytes_, 0);
  bytes_.erase(0, static_cast<std::size_t>(point.bytes));
  return point.valid ? static_cast<wchar_t>(point.value) : L'\xFFFD';
}

}  // namespace corvid::runtime
