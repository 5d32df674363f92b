// One spelling for a host, and no way around the rules by another.
#include <gtest/gtest.h>

#include "sandbox/host_filter.h"

namespace corvid::sandbox {
namespace {

using namespace std::string_literals;

std::string host(std::string_view text) {
  return canonical_host(text).value_or("refused");
}

TEST(HostFilter, AHostHasOneSpelling) {
  EXPECT_EQ(host("example.com"), "example.com");
  EXPECT_EQ(host("EXAMPLE.Com."), "example.com");
  EXPECT_EQ(host("xn--bcher-kva.example"), "xn--bcher-kva.example");
  EXPECT_EQ(host("a_b.example"), "a_b.example");
  EXPECT_EQ(host("10.1.2.3"), "10.1.2.3");
  EXPECT_EQ(host("[0:0::1]"), "::1");
}

TEST(HostFilter, WhatIsNotPlainlyAHostIsRefused) {
  for (const std::string& text : {""s,
                                  "."s,
                                  "a..b"s,
                                  "example.com.."s,
                                  "exa mple.com"s,
                                  "example.com\0.evil.com"s,
                                  "example.com\n"s,
                                  "b\xC3\xBC"
                                  "cher.example"s,
                                  "user@example.com"s,
                                  "example.com/x"s,
                                  "example%2ecom"s,
                                  "-a.example"s,
                                  "a-.example"s,
                                  "127.1"s,
                                  "2130706433"s,
                                  "0x7f000001"s,
                                  "0177.0.0.1"s,
                                  "1.2.3.4.5"s,
                                  "999.1.1.1"s,
                                  "example.0x7f"s,
                                  "[::1"s,
                                  "[fe80::1%eth0]"s,
                                  "[::1]x"s,
                                  "::1"s,
                                  std::string(64, 'a') + ".com",
                                  std::string(300, 'a')}) {
    EXPECT_EQ(host(text), "refused") << text;
  }
}

TEST(HostFilter, ReadsHostsWithPorts) {
  EXPECT_EQ(print(parse_host_port("Example.com:8080").value()), "example.com:8080");
  EXPECT_EQ(print(parse_host_port("[::1]:80").value()), "[::1]:80");
  EXPECT_EQ(print(parse_host_port("example.com", 80).value()), "example.com:80");
  EXPECT_EQ(print(parse_host_port("[::1]", 443).value()), "[::1]:443");
  for (const char* text : {"example.com", "example.com:", "example.com:0", "example.com:65536",
                           "example.com:80x", "example.com:+80", ":80", "a:b:80"}) {
    EXPECT_FALSE(parse_host_port(text)) << text;
  }
}

TEST(HostFilter, ARuleMeansAHostOrTheNamesBelowOne) {
  const std::vector<HostRule> rules = {
      parse_host_rule("example.com").value(), parse_host_rule("*.example.org").value(),
      parse_host_rule("build.local:8080").value(), parse_host_rule("10.0.0.7").value()};
  EXPECT_TRUE(allows(rules, {"example.com", 443}));
  EXPECT_TRUE(allows(rules, {"example.com", 80}));
  EXPECT_FALSE(allows(rules, {"example.com", 22}));
  EXPECT_FALSE(allows(rules, {"www.example.com", 443}));
  EXPECT_FALSE(allows(rules, {"example.com.evil.org", 443}));
  EXPECT_TRUE(allows(rules, {"a.b.example.org", 443}));
  EXPECT_FALSE(allows(rules, {"example.org", 443}));
  EXPECT_FALSE(allows(rules, {"evilexample.org", 443}));
  EXPECT_TRUE(allows(rules, {"build.local", 8080}));
  EXPECT_FALSE(allows(rules, {"build.local", 80}));
  EXPECT_TRUE(allows(rules, {"10.0.0.7", 80}));
  EXPECT_FALSE(allows(rules, {"10.0.0.70", 80}));
}

TEST(HostFilter, ARuleThatMeansTooMuchOrNothingIsRefused) {
  for (const char* text : {"*", "*.com", "*.", "*.10.0.0.1", "a.*.com", "", "example.com:0",
                           "http://example.com", "example.com/x", "*example.com"}) {
    EXPECT_FALSE(parse_host_rule(text)) << text;
  }
}

TEST(HostFilter, KnowsTheAddressesOfThisMachineAndItsNetworks) {
  const auto local = [](const char* text) {
    return is_local_address(boost::asio::ip::make_address(text));
  };
  for (const char* text : {"127.0.0.1",
                           "127.9.9.9",
                           "10.0.0.1",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "169.254.169.254",
                           "100.64.0.1",
                           "0.0.0.0",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::1",
                           "::",
                           "fe80::1",
                           "fd00:ec2::254",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::7f00:1",
                           "2002:7f00:1::"}) {
    EXPECT_TRUE(local(text)) << text;
  }
  for (const char* text : {"1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1",
                           "2606:4700::1111", "::ffff:1.1.1.1"}) {
    EXPECT_FALSE(local(text)) << text;
  }
}

}  // namespace
}  // namespace corvid::sandbox
