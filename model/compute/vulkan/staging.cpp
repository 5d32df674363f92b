#include "model/compute/vulkan/staging.h"

#include <algorithm>
#include <cstring>

namespace corvid::model {
namespace {

constexpr VkDeviceSize kWindowBytes = 8 << 20;

}  // namespace

Staging::Staging(const Device& device, Commands& commands)
    : commands_(commands),
      windows_{{device, kWindowBytes, Memory::host, "uploads"},
               {device, kWindowBytes, Memory::host, "uploads"}} {}

void Staging::write(const Region& to, std::span<const std::byte> data) {
  for (VkDeviceSize at = 0; at < data.size();) {
    if (used_ == kWindowBytes) flush();
    const VkDeviceSize n = std::min<VkDeviceSize>(data.size() - at, kWindowBytes - used_);
    const Region from = windows_[current_].region().part(used_, n);
    std::memcpy(from.mapped, data.data() + at, n);
    commands_.copy(from, to.part(at, n));
    used_ += n;
    at += n;
  }
}

// The submission waits for the one before it, and so for the window that is filled next.
void Staging::flush() {
  commands_.submit();
  current_ = 1 - current_;
  used_ = 0;
}

}  // namespace corvid::model
