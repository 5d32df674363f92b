#include "sandbox/wire.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/error.h"

namespace corvid::sandbox::wire {
namespace {

constexpr std::size_t kInlineBytes = 16 * 1024;  // well below the smallest socket buffer
constexpr std::size_t kMaxDescriptors = 8;
constexpr char kInline = 'i';
constexpr char kInFile = 'm';  // the body is in a memory file: the last descriptor

Descriptor memory_file(std::string_view bytes) {
  Descriptor file(::memfd_create("corvid", MFD_CLOEXEC));
  if (!file || !write_all(file.get(), bytes)) {
    throw SandboxError("cannot pass a long command to the sandbox: out of memory or descriptors");
  }
  return file;
}

std::string contents(int fd) {
  std::string bytes;
  std::array<char, 64 * 1024> buffer;
  for (off_t at = 0;;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return bytes;
    bytes.append(buffer.data(), static_cast<std::size_t>(n));
    at += n;
  }
}

std::vector<Descriptor> received_descriptors(msghdr& message) {
  std::vector<Descriptor> found;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < n; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      found.emplace_back(fd);
    }
  }
  return found;
}

}  // namespace

Fields& Fields::put(std::int64_t number) {
  bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  return *this;
}

Fields& Fields::put(std::string_view text) {
  put(static_cast<std::int64_t>(text.size()));
  bytes_.append(text);
  return *this;
}

Fields& Fields::put(const std::vector<std::string>& texts) {
  put(static_cast<std::int64_t>(texts.size()));
  for (const std::string& text : texts) put(text);
  return *this;
}

std::int64_t Fields::take_number() {
  std::int64_t number;
  if (bytes_.size() - at_ < sizeof number) throw SandboxError("a packet of the sandbox is cut off");
  std::memcpy(&number, bytes_.data() + at_, sizeof number);
  at_ += sizeof number;
  return number;
}

std::string Fields::take_text() {
  const auto size = static_cast<std::uint64_t>(take_number());
  if (bytes_.size() - at_ < size) throw SandboxError("a packet of the sandbox is cut off");
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

std::vector<std::string> Fields::take_texts() {
  std::vector<std::string> texts;
  for (std::int64_t n = take_number(); n > 0; --n) texts.push_back(take_text());
  return texts;
}

bool send(int socket, Kind kind, const Fields& fields, const std::vector<int>& descriptors) {
  std::vector<int> passed = descriptors;
  Descriptor body_file;
  std::string text{static_cast<char>(kind), kInline};
  if (fields.bytes().size() <= kInlineBytes) {
    text += fields.bytes();
  } else {
    text[1] = kInFile;
    body_file = memory_file(fields.bytes());
    passed.push_back(body_file.get());
  }
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!passed.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(passed.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(passed.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), passed.data(), passed.size() * sizeof(int));
  }
  ssize_t n;
  do n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n >= 0;
}

std::optional<Packet> receive(int socket, bool wait) {
  std::array<char, kInlineBytes + 2> text;
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n;
  do n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  while (n < 0 && errno == EINTR);
  if (n == 0) errno = 0;
  if (n < 2) return std::nullopt;

  Packet packet{static_cast<Kind>(text[0]), {}, received_descriptors(message)};
  if (text[1] == kInFile && !packet.descriptors.empty()) {
    packet.fields = Fields(contents(packet.descriptors.back().get()));
    packet.descriptors.pop_back();
  } else {
    packet.fields = Fields(std::string(text.data() + 2, static_cast<std::size_t>(n) - 2));
  }
  return packet;
}

}  // namespace corvid::sandbox::wire
