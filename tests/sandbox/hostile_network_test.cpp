// Hostile acts on the network: from inside nothing of the machine is reached, by no kind of socket.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "tests/sandbox/hostile.h"

namespace corvid::sandbox {
namespace {

// Listens on every kind of address that the machine has.
class HostileNetwork : public Hostile {
 protected:
  void SetUp() override {
    listen_inet();
    listen_unix(outside("socket").string(), false);
    listen_unix(in_tmp_ / "socket", false);
    listen_unix("corvid-hostile-" + std::to_string(::getpid()), true);
    answerer_ = std::thread([this] {
      while (!over_) {
        char byte;
        sockaddr_in from{};
        socklen_t size = sizeof from;
        if (::recvfrom(udp_, &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) == 1) {
          ::sendto(udp_, "y", 1, 0, reinterpret_cast<sockaddr*>(&from), size);
        }
      }
    });
  }
  void TearDown() override {
    over_ = true;
    answerer_.join();
    for (const int fd : open_) ::close(fd);
  }
  std::string port() const { return std::to_string(port_); }

  void listen_unix(const std::string& path, bool is_abstract) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = (is_abstract ? std::string(1, 0) : std::string()) + path;
    ASSERT_LT(name.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, name.data(), name.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::bind(fd, reinterpret_cast<sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size()));
    ::listen(fd, 100);
    open_.push_back(fd);
  }

  ScratchFolder in_tmp_;

 private:
  void listen_inet() {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_any;
    socklen_t size = sizeof address;
    const int tcp = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::bind(tcp, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(tcp, 100);
    ::getsockname(tcp, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin6_port);
    sockaddr_in plain{};
    plain.sin_family = AF_INET;
    plain.sin_port = address.sin6_port;
    udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ::bind(udp_, reinterpret_cast<sockaddr*>(&plain), sizeof plain);
    const timeval short_wait{0, 50'000};
    ::setsockopt(udp_, SOL_SOCKET, SO_RCVTIMEO, &short_wait, sizeof short_wait);
    open_ = {tcp, udp_};
  }
  int port_ = 0, udp_ = -1;
  std::vector<int> open_;
  std::thread answerer_;
  std::atomic<bool> over_{false};
};

TEST_F(HostileNetwork, ReachesNothingOfTheMachine) {
  for (const char* act : {"tcp ", "tcp6 ", "mptcp ", "fastopen ", "udp ", "sctp "}) {
    expect_refused(act + port());
  }
  expect_refused("unix " + outside("socket").string());
  expect_refused("unix " + (in_tmp_ / "socket").string());
  expect_refused("abstract corvid-hostile-" + std::to_string(::getpid()));
}

TEST_F(HostileNetwork, ReachesNoServerThatCameAfterTheSandbox) {
  if (!holds("mount namespace")) GTEST_SKIP() << "needs a mount namespace";
  const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy_);
  const std::string act = "./attack unix " + outside("late").string();
  EXPECT_NE(sandbox::run(*sandbox, shell(act)).exit_code, 0) << "nobody is there";
  listen_unix(outside("late").string(), false);
  EXPECT_EQ(free(act).exit_code, 0) << "no harm shown";
  for (int i = 0; i < 2; ++i) EXPECT_NE(sandbox::run(*sandbox, shell(act)).exit_code, 0);
  listen_unix((workspace() / "own").string(), false);
  EXPECT_EQ(sandbox::run(*sandbox, shell("./attack unix own")).exit_code, 0) << "of the workspace";
}

TEST_F(HostileNetwork, OpensNoStrangeSockets) {
  for (const char* act : {"socket 16 3 0", "socket 17 3 0", "socket 40 1 0", "socket 2 3 1",
                          "socket 2 2 1", "socket 38 5 0", "socket 2 1 132", "socket 2 1 262"}) {
    expect_refused(act);  // netlink, packet, vsock, raw, ping, alg, SCTP, MPTCP
  }
  EXPECT_EQ(thrown_away("echo 0 0 > /proc/sys/net/ipv4/ping_group_range; ./attack socket 2 2 1")
                .exit_code,
            0);
}

// The question goes by UDP to a server on this machine, as to the one that resolv.conf names.
TEST_F(HostileNetwork, ResolvesNoNames) {
  expect_refused("udp " + port());
  EXPECT_NE(confined("getent ahostsv4 example.com").exit_code, 0);
}

// The address where machines of a cloud get their keys, in a network of its own.
TEST_F(HostileNetwork, AsksForTheKeysOfTheMachine) {
  if (::access(CORVID_BINARY, X_OK) != 0) GTEST_SKIP() << "cannot run " CORVID_BINARY;
  put(workspace() / "key", "hush");
  put(workspace() / "get.py",
      "import sys, time, urllib.request\n"
      "for i in range(int(sys.argv[1])):\n"
      "  try:\n"
      "    url = 'http://169.254.169.254:8000/key'\n"
      "    sys.exit(print('got', urllib.request.urlopen(url, timeout=9).read().decode()))\n"
      "  except OSError as why:\n"
      "    print(why)\n"
      "    time.sleep(0.1)\n");
  const ProcessResult result = thrown_away(
      "ip link set lo up && ip addr add 169.254.169.254/32 dev lo || exit 77; "
      "python3 -m http.server --bind 169.254.169.254 8000 >/dev/null 2>&1 & "
      "python3 get.py 100 && echo then && " CORVID_BINARY
      " sandbox --allow-net=example.com -- python3 get.py 1");
  if (result.exit_code == 77) GTEST_SKIP() << "no such address here: " << result.output;
  const std::size_t then = result.output.find("then\n");
  ASSERT_NE(then, std::string::npos) << result.output;
  EXPECT_THAT(result.output.substr(0, then), testing::HasSubstr("got hush")) << "no harm shown";
  EXPECT_THAT(result.output.substr(then), testing::Not(testing::HasSubstr("hush")));
  EXPECT_THAT(result.output.substr(then), testing::HasSubstr("403"));
}

TEST_F(HostileNetwork, IsReachedWhenAllowed) {
  policy_.network = true;
  EXPECT_EQ(confined("./attack tcp " + port()).exit_code, 0);
  EXPECT_NE(confined("./attack unix " + outside("socket").string()).exit_code, 0);
  EXPECT_NE(confined("./attack abstract corvid-hostile-" + std::to_string(::getpid())).exit_code,
            0);
  EXPECT_NE(confined("./attack socket 40 1 0").exit_code, 0);
}

TEST_F(HostileNetwork, ServersOfItsOwnWorkInside) {
  if (!holds("network namespace")) GTEST_SKIP() << "needs a network namespace";
  const ProcessResult result = confined(
      "python3 -m http.server 8000 >/dev/null 2>&1 & "
      "for i in $(seq 100); do ./attack tcp 8000 >/dev/null && echo up && exit; sleep 0.05; done");
  EXPECT_EQ(result.output, "up\n");
}

}  // namespace
}  // namespace corvid::sandbox
