// The network through the proxy: a command reaches the hosts that it may, and nothing else by any
// other spelling, address, port or way. The commands and the server are real.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <mutex>
#include <thread>

#include "sandbox/error.h"
#include "sandbox/proxy_request.h"
#include "tests/sandbox/play.h"

namespace corvid::sandbox {
namespace {

using asio::ip::tcp;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Answers every request on this machine's loopback with "hi" or with a redirect, and remembers it.
class Server {
 public:
  Server() : thread_([this] { serve(); }) {}
  ~Server() {
    boost::system::error_code ignored;
    stopping_ = true;
    tcp::socket last(io_);  // wakes it
    last.connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
  }
  std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }
  int n_connections() const { return n_connections_; }
  std::string head() const {  // after a command that got its answer
    const std::lock_guard lock(mutex_);
    return head_;
  }
  void redirect_to(const std::string& url) {  // before the first request
    const std::lock_guard lock(mutex_);
    answer_ = "HTTP/1.1 302 Found\r\nLocation: " + url + "\r\nContent-Length: 0\r\n\r\n";
  }

 private:
  void serve() {
    for (;;) {
      tcp::socket client = acceptor_.accept();
      if (stopping_) return;
      ++n_connections_;
      boost::system::error_code error;
      std::string head;
      asio::read_until(client, asio::dynamic_buffer(head), "\r\n\r\n", error);
      const std::lock_guard lock(mutex_);
      head_ = head;
      asio::write(client, asio::buffer(answer_), error);
    }
  }

  asio::io_context io_;
  tcp::acceptor acceptor_{io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::atomic<bool> stopping_ = false;
  std::atomic<int> n_connections_ = 0;
  mutable std::mutex mutex_;
  std::string head_, answer_ = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  std::thread thread_;
};

std::string this_machine() {
  std::array<char, 256> name{};
  EXPECT_EQ(::gethostname(name.data(), name.size() - 1), 0);
  return name.data();
}

class ProxyTest : public testing::Test {
 protected:
  ProxyTest() {
    policy_ = default_policy(folder_.path());
    policy_.proxy = true;
  }
  ProcessResult run(const std::string& command) {
    asio::io_context io;  // outlives the sandbox, whose proxy listens on it
    const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy_);
    if (ask_) sandbox->ask_about_hosts(ask_);
    ProcessResult result;
    std::exception_ptr failure;
    asio::co_spawn(io, sandbox->run(shell(command)),
                   [&](std::exception_ptr error, ProcessResult value) {
                     failure = error;
                     result = std::move(value);
                     io.stop();
                   });
    io.run();
    if (failure) std::rethrow_exception(failure);
    return result;
  }
  // What the proxy says to these bytes (in printf's spelling).
  std::string say(const std::string& bytes) {
    return run("exec 3<>/dev/tcp/127.0.0.1/3128 && printf '" + bytes + "' >&3 && cat <&3").output;
  }
  std::string connect_to(const std::string& where) {
    return say("CONNECT " + where + " HTTP/1.1\\r\\nHost: x\\r\\n\\r\\nGET / HTTP/1.1\\r\\n\\r\\n");
  }
  std::string get(const std::string& url) {
    return say("GET " + url + " HTTP/1.1\\r\\nHost: elsewhere.example\\r\\nX: y\\r\\n\\r\\n");
  }
  std::string here() const { return "127.0.0.1:" + server_.port(); }

  ScratchFolder folder_;
  Policy policy_;
  Sandbox::AskHost ask_;
  Server server_;
};

TEST_F(ProxyTest, AHostThatIsNamedIsReached) {
  policy_.hosts = {here()};
  EXPECT_THAT(connect_to(here()), AllOf(StartsWith("HTTP/1.1 200 Connection established\r\n\r\n"),
                                        testing::EndsWith("hi")));
  EXPECT_THAT(get("http://" + here() + "/path?x=1"), testing::EndsWith("hi"));
  EXPECT_EQ(server_.head(),
            "GET /path?x=1 HTTP/1.1\r\nHost: " + here() + "\r\nConnection: close\r\nX: y\r\n\r\n");
}

TEST_F(ProxyTest, ProgramsFindItByThemselves) {
  policy_.hosts = {here()};
  const std::string script = "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://" +
                             here() + "/\").read())' 2>&1";
  // Python keeps 127.0.0.1 from the proxy, as NO_PROXY says: it must be told not to.
  EXPECT_THAT(run("no_proxy= NO_PROXY= " + script).output, HasSubstr("b'hi'"));
}

TEST_F(ProxyTest, AnyOtherHostIsRefusedAndNamed) {
  policy_.hosts = {"example.com"};
  const std::string command = "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT " + here() +
                              " HTTP/1.1\\r\\n\\r\\n' >&3; "
                              "cat <&3";
  const ProcessResult result = run(command);
  EXPECT_THAT(result.output, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(result.notices, ElementsAre("No connection to " + here() +
                                          ": it is none of the hosts that may be reached; "
                                          "`--allow-net=" +
                                          here() + "` allows it."));
  EXPECT_EQ(server_.n_connections(), 0);
}

TEST_F(ProxyTest, ThereIsNoOtherWayOut) {
  policy_.hosts = {here()};
  EXPECT_NE(run("exec 3<>/dev/tcp/127.0.0.1/" + server_.port()).exit_code, 0);
  EXPECT_NE(run("exec 3<>/dev/tcp/93.184.216.34/80").exit_code, 0);
  EXPECT_NE(run("exec 3<>/dev/udp/8.8.8.8/53").exit_code, 0);
  EXPECT_EQ(server_.n_connections(), 0);
}

TEST_F(ProxyTest, WithoutItThereIsNothingToConnectTo) {
  policy_.proxy = false;
  EXPECT_NE(run("exec 3<>/dev/tcp/127.0.0.1/3128").exit_code, 0);
  EXPECT_EQ(run("echo $http_proxy$HTTPS_PROXY").output, "\n");
}

TEST_F(ProxyTest, NoSpellingOfAHostGetsAroundTheRules) {
  policy_.hosts = {"example.com", "*.example.org"};
  const std::string port = server_.port();
  for (const std::string& where : std::vector<std::string>{
           "127.0.0.1:" + port, "127.1:" + port, "2130706433:" + port, "0x7f000001:" + port,
           "0177.0.0.1:" + port, "localhost:" + port, "LOCALHOST.:" + port, "[::1]:" + port,
           "[::ffff:127.0.0.1]:" + port, "0.0.0.0:" + port, "example.com:22",
           "example.com\\000.evil.example:443", "example.com@127.0.0.1:" + port,
           "127.0.0.1:" + port + "#.example.org", "127.0.0.1:" + port + "\\t.example.org",
           std::string("b\\303\\274cher.example.org:443"), "127.0.0.1%%2f.example.org:" + port,
           std::string("169.254.169.254:80"), std::string("example.com:443:443")}) {
    EXPECT_THAT(connect_to(where), Not(HasSubstr(" 200 "))) << where;
  }
  for (const std::string& url : std::vector<std::string>{
           "http://127.0.0.1:" + port + "/", "http://example.com@127.0.0.1:" + port + "/",
           "http://127.0.0.1:" + port + "/.example.com", "https://127.0.0.1:" + port + "/",
           std::string("file:///etc/passwd"), std::string("ftp://example.com/"),
           std::string("http://169.254.169.254/latest/meta-data/"), std::string("/"),
           std::string("http:///")}) {
    EXPECT_THAT(get(url), Not(HasSubstr(" 200 "))) << url;
  }
  EXPECT_EQ(server_.n_connections(), 0);
}

TEST_F(ProxyTest, ANameThatResolvesToThisMachineIsRefused) {  // as in DNS rebinding
  const std::string where = this_machine() + ":" + server_.port();
  policy_.hosts = {where};
  EXPECT_THAT(connect_to(where), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(server_.n_connections(), 0);
}

// Whoever follows it goes through the proxy once more.
TEST_F(ProxyTest, ARedirectLeadsToNoOtherHost) {
  Server other;
  server_.redirect_to("http://127.0.0.1:" + other.port() + "/");
  policy_.hosts = {here()};
  const std::string script = "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://" +
                             here() + "/\").read())' 2>&1";
  EXPECT_EQ(sandbox::run(*plain(folder_.path()), shell("http_proxy= " + script)).output, "b'hi'\n")
      << "no harm shown";
  EXPECT_EQ(other.n_connections(), 1);
  EXPECT_THAT(run("no_proxy= NO_PROXY= " + script).output, HasSubstr("HTTP Error 403"));
  EXPECT_EQ(server_.n_connections(), 2) << "the first hop is allowed";
  EXPECT_EQ(other.n_connections(), 1);
}

TEST_F(ProxyTest, WhatIsNoRequestIsRefused) {
  policy_.hosts = {here()};
  for (const char* bytes :
       {"\\r\\n\\r\\n", "CONNECT\\r\\n\\r\\n", "nonsense of all kinds\\r\\n\\r\\n",
        "GET http://127.0.0.1/ HTTP/2\\r\\n\\r\\n", "\\026\\003\\001\\r\\n\\r\\n",
        "GET http://127.0.0.1/ HTTP/1.1\\r\\nno colon\\r\\n\\r\\n",
        "GET http://127.0.0.1/ HTTP/1.1\\r\\nA: b\\r\\n folded\\r\\n\\r\\n",
        "GET http://127.0.0.1/ HTTP/1.1\\nHost: x\\r\\n\\r\\n"}) {
    EXPECT_THAT(say(bytes), StartsWith("HTTP/1.1 400 ")) << bytes;
  }
  EXPECT_THAT(say(std::string(20'000, 'x')), Not(HasSubstr("HTTP/1.1 2")));  // too long
}

TEST_F(ProxyTest, TheUserIsAskedAboutOtherHosts) {
  std::vector<std::string> asked;
  ask_ = [&](std::string host) -> asio::awaitable<bool> {
    asked.push_back(host);
    co_return false;
  };
  EXPECT_THAT(connect_to("example.invalid:443"), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(connect_to("example.invalid:8080"), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(asked, ElementsAre("example.invalid", "example.invalid:8080"));
  EXPECT_THAT(connect_to(here()), StartsWith("HTTP/1.1 403 "));
  EXPECT_EQ(asked.size(), 2u) << "an address of this machine is not asked about";
}

TEST_F(ProxyTest, TheAnswerCounts) {
  ask_ = [](std::string) -> asio::awaitable<bool> { co_return true; };
  EXPECT_THAT(connect_to(this_machine() + ":443"), StartsWith("HTTP/1.1 502 "));
}

TEST_F(ProxyTest, ABadRuleStopsEverything) {
  policy_.hosts = {"*.com"};
  EXPECT_THROW(run("true"), SandboxError);
}

TEST(ProxyRequest, AHeadIsRewrittenForTheServer) {
  const auto request = parse_proxy_request(
      "POST HTTP://Example.COM.:8080?q HTTP/1.0\r\nHost: evil\r\nPROXY-Authorization: x\r\n"
      "Connection: keep-alive\r\nContent-Length: 3\r\n\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(print(request->where), "example.com:8080");
  EXPECT_FALSE(request->tunnel);
  EXPECT_EQ(request->head,
            "POST /?q HTTP/1.1\r\nHost: example.com:8080\r\nConnection: close\r\n"
            "Content-Length: 3\r\n\r\n");
}

}  // namespace
}  // namespace corvid::sandbox
