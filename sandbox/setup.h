// What the program tells its stub at the start, and the names of the rungs both speak of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/policy.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {

inline constexpr std::string_view kUserRung = "user namespace";
inline constexpr std::string_view kMountRung = "mount namespace";
inline constexpr std::string_view kPidRung = "pid namespace";
inline constexpr std::string_view kNetworkRung = "network namespace";
inline constexpr std::string_view kIpcRung = "ipc namespace";
inline constexpr std::string_view kUtsRung = "uts namespace";
inline constexpr std::string_view kCgroupRung = "cgroup namespace";
inline constexpr std::string_view kLandlockRung = "landlock";
inline constexpr std::string_view kSeccompRung = "seccomp";
inline constexpr std::string_view kPrivilegesRung = "no privileges";
inline constexpr std::string_view kLimitsRung = "limits";

inline constexpr int kProxyPort = 3128;  // on the loopback of the private network

struct Setup {
  Policy policy;
  std::vector<std::string> skip;  // rungs that are known not to hold
  std::string git_config;         // goes to the private home
};

wire::Fields encode(const Setup& setup);
Setup decode_setup(wire::Fields& fields);

}  // namespace corvid::sandbox
