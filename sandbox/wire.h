// What the program and its stub say to each other: packets of one kind byte, some fields and some
// descriptors, over a sequenced-packet socket. Sending never blocks on the size of a command line:
// a long body travels in a memory file. Used by the io thread and by the single-threaded stub.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/descriptor.h"

namespace corvid::sandbox::wire {

// Fields in the order they were put; take them in the same order.
class Fields {
 public:
  Fields() = default;
  explicit Fields(std::string bytes) : bytes_(std::move(bytes)) {}

  Fields& put(std::int64_t number);
  Fields& put(std::string_view text);
  Fields& put(const std::vector<std::string>& texts);

  // SandboxError when the field is not there.
  std::int64_t take_number();
  std::string take_text();
  std::vector<std::string> take_texts();

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

enum class Kind : char {
  // program to stub
  setup = 'P',  // see setup.h; answered by ready, broken or failed
  run = 'R',    // a command; descriptors: status socket, output, input, errors if kept apart
  // program to the keeper of one command, on its status socket
  terminate = 'T',  // SIGTERM to everything
  kill = 'K',       // SIGKILL to everything
  // stub to program
  ready = 'y',   // names, why each does not hold (empty: it does), HOME, TMPDIR;
                 // descriptor: where commands look for the proxy, if there is one
  broken = 'b',  // name, why: a rung broke half-way; start again without it
  failed = 'f',  // what could not be done; nothing runs under this policy
  // on the status socket of a command, where failed says why it has not run
  terminal = 't',  // descriptor: the other end of its terminal
  exited = 'e',    // wait status of the command, why the sandbox ended it (or nothing)
  finished = 'd'   // everything it started is gone; notices
};

struct Packet {
  Kind kind{};
  Fields fields;
  std::vector<Descriptor> descriptors;
};

// False: the peer is gone.
bool send(int socket, Kind kind, const Fields& fields, const std::vector<int>& descriptors = {});
// Nothing: the peer is gone (or, with `wait` false, has nothing to say; then errno is EAGAIN).
std::optional<Packet> receive(int socket, bool wait = true);

}  // namespace corvid::sandbox::wire
