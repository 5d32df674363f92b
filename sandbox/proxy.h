// The way of confined commands to the hosts that they may reach: an HTTP proxy (CONNECT, and plain
// http) that listens on the loopback of their private network and connects from ours.
//
// A host is parsed once, decided on once, resolved once, and connected to at the addresses that
// were found: none of this machine or its networks, unless a rule names that very address. io
// thread only; names are resolved on a thread of asio's own. Nothing here throws for what a command
// or a server can cause.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/descriptor.h"
#include "sandbox/host_filter.h"
#include "sandbox/sandbox.h"

namespace corvid::sandbox {

class Proxy {
 public:
  Proxy(const asio::any_io_executor& io, Descriptor listening, std::vector<HostRule> rules);
  ~Proxy();  // ends all connections
  Proxy(const Proxy&) = delete;

  void ask_with(Sandbox::AskHost ask);
  // A sentence for each host that was refused since the last time.
  std::vector<std::string> news();

 private:
  struct Parts;
  std::shared_ptr<Parts> parts_;  // shared with its connections
};

}  // namespace corvid::sandbox
