// An owned file descriptor, and a pipe of two. Move-only; closed on destruction. Any thread.
// Everything made here is close-on-exec.
#pragma once

#include <string_view>
#include <utility>

namespace corvid::sandbox {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct DescriptorPair {
  Descriptor first, second;
};

// Both throw SandboxError when the process is out of descriptors.
DescriptorPair make_pipe();         // first reads (non-blocking), second writes
DescriptorPair make_socket_pair();  // sequenced packets, both ends blocking

// Writes everything to a blocking descriptor; false, with errno set, when it cannot.
bool write_all(int fd, std::string_view bytes);

}  // namespace corvid::sandbox
