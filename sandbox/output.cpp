#include "sandbox/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sandbox/error.h"

namespace corvid::sandbox {
namespace {

constexpr std::uint64_t kSpillCapBytes = std::uint64_t{256} << 20;

}  // namespace

Output::Output(std::size_t head_bytes, std::size_t tail_bytes, const std::filesystem::path& spill)
    : head_bytes_(head_bytes), tail_bytes_(tail_bytes), spill_room_(kSpillCapBytes) {
  if (spill.empty()) return;
  spill_.reset(::open(spill.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!spill_) {
    throw SandboxError("cannot write the output file " + spill.string() + ": " +
                       std::strerror(errno));
  }
}

void Output::add(std::string_view bytes) {
  bytes_ += bytes.size();
  write_spill(bytes);
  const std::size_t for_head = std::min(bytes.size(), head_bytes_ - head_.size());
  head_.append(bytes.substr(0, for_head));
  bytes.remove_prefix(for_head);
  if (bytes.size() > tail_bytes_) bytes.remove_prefix(bytes.size() - tail_bytes_);
  tail_.append(bytes);
  if (tail_.size() > 2 * tail_bytes_) tail_.erase(0, tail_.size() - tail_bytes_);
}

Output::Kept Output::take() {
  Kept kept{std::exchange(head_, {}), std::exchange(tail_, {}), bytes_, spill_is_cut_};
  if (!cut()) {
    kept.head += std::exchange(kept.tail, {});
  } else if (kept.tail.size() > tail_bytes_) {
    kept.tail.erase(0, kept.tail.size() - tail_bytes_);
  }
  bytes_ = 0;
  return kept;
}

void Output::write_spill(std::string_view bytes) {
  spill_is_cut_ = spill_is_cut_ || bytes.size() > spill_room_;
  bytes = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), spill_room_));
  while (spill_ && !bytes.empty()) {
    const ssize_t n = ::write(spill_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {  // a full disk ends the spill, not the command
      spill_is_cut_ = true;
      return spill_.reset();
    }
    spill_room_ -= static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace corvid::sandbox
