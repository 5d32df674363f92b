// What is kept of a command's output: its head and its tail in memory, all of it (up to a cap) in
// the spill file. Memory use is bounded by head_bytes + 2 * tail_bytes. io thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "sandbox/descriptor.h"

namespace corvid::sandbox {

class Output {
 public:
  // SandboxError when the spill file cannot be made. No spill file when the path is empty.
  Output(std::size_t head_bytes, std::size_t tail_bytes, const std::filesystem::path& spill);

  void add(std::string_view bytes);

  struct Kept {
    std::string head;           // everything as long as nothing was cut, else the first head_bytes
    std::string tail;           // the last tail_bytes once something was cut
    std::uint64_t bytes = 0;    // in total
    bool spill_is_cut = false;  // the file has its start alone: the rest was too much
  };
  // What came since the last time. The spill file goes on.
  Kept take();

 private:
  bool cut() const { return bytes_ > head_bytes_ + tail_bytes_; }
  void write_spill(std::string_view bytes);

  std::size_t head_bytes_, tail_bytes_;
  std::string head_, tail_;  // tail_ holds what came after the head, at least the last tail_bytes_
  std::uint64_t bytes_ = 0;
  Descriptor spill_;
  std::uint64_t spill_room_;
  bool spill_is_cut_ = false;
};

}  // namespace corvid::sandbox
