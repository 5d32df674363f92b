// The characters that a terminal sends, as the line editor is to see them.
//
// Waits for input and for wake-ups alike. Decodes UTF-8. Inside a bracketed paste nothing is a
// command: line ends and tabs come quoted (behind Ctrl-V), other control characters not at all. One
// thread, but for wake().
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

namespace corvid::runtime {

class KeyInput {
 public:
  explicit KeyInput(int descriptor);
  ~KeyInput();
  KeyInput(const KeyInput&) = delete;

  // The next character. Empty at the end of input, or when `woken` (called with each byte that was
  // sent to wake()) returns false.
  std::optional<wchar_t> next(const std::function<bool(char)>& woken);
  // What was typed before now is not for whoever asks next.
  void forget();
  void wake(char why) noexcept;  // any thread

 private:
  bool fill(const std::function<bool(char)>& woken, int wait_ms);
  bool starts_with(std::string_view sequence);
  std::optional<wchar_t> decode();

  int descriptor_;
  int wake_ends_[2] = {-1, -1};
  std::string bytes_;           // read and not yet handed out
  std::deque<wchar_t> quoted_;  // to be handed out first
  bool pasting_ = false;
  bool ended_ = false;
};

}  // namespace corvid::runtime
