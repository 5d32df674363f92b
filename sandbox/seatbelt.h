// A policy as a profile for macOS's sandbox-exec (SBPL, where the last rule that matches holds).
// Pure: only the text is made here. It has not been tried on a Mac yet.
#pragma once

#include <filesystem>
#include <string>

#include "sandbox/policy.h"

namespace corvid::sandbox {

// `tmp`: a folder of the command's own, canonical (/tmp is a link there). `proxy_port`: where the
// policy's proxy listens on this machine; 0: nowhere.
std::string seatbelt_profile(const Policy& policy, const std::filesystem::path& tmp,
                             int proxy_port);

}  // namespace corvid::sandbox
