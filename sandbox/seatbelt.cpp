#include "sandbox/seatbelt.h"

#include <cctype>
#include <set>

#include "sandbox/protection.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

// What every program needs before it does anything.
constexpr const char* kStart = R"((version 1)
(deny default)
(allow process-exec process-fork)
(allow process-info* signal (target same-sandbox))
(allow sysctl-read)
(allow mach-lookup
  (global-name "com.apple.system.logger")
  (global-name "com.apple.system.notification_center")
  (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow file-read*)
(allow file-write-data file-ioctl (literal "/dev/null") (literal "/dev/zero"))
)";

std::string quoted(const fs::path& path) {
  std::string text = "\"";
  for (const char c : path.string()) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

std::string rule(const char* verdict, const char* operation, const std::string& what) {
  return std::string("(") + verdict + " " + operation + " " + what + ")\n";
}

std::string subpath(const fs::path& path) {
  return "(subpath " + quoted(path) + ")";
}

// Matches the path however its letters are spelled: the usual file system folds case.
std::string pattern(const fs::path& path, const char* end) {
  std::string text = "(regex #\"^";
  for (const unsigned char c : path.string()) {
    if (std::isalpha(c)) {
      text += {'[', static_cast<char>(std::tolower(c)), static_cast<char>(std::toupper(c)), ']'};
    } else if (std::isalnum(c) || c == '/' || c == '-' || c == '_' || c >= 0x80) {
      text += static_cast<char>(c);
    } else if (c == '\\' || c == '^' || c == '"') {
      text += '.';  // any character: more is refused than need be
    } else {
      text += {'[', static_cast<char>(c), ']'};
    }
  }
  return text + end + "\")";
}

// Nothing above a protected path may be renamed either, up to the folder that can be written in.
void add_pins(const fs::path& path, const std::set<fs::path>& roots, std::set<fs::path>& pins) {
  for (fs::path folder = path.parent_path(); !roots.contains(folder);
       folder = folder.parent_path()) {
    pins.insert(folder);
    if (folder == folder.parent_path()) return;
  }
}

}  // namespace

std::string seatbelt_profile(const Policy& policy, const fs::path& tmp, int proxy_port) {
  std::string profile = kStart;
  for (const fs::path& path : policy.secrets) {
    profile += rule("deny", "file-read*", subpath(path));
  }
  std::set<fs::path> roots{policy.workspace, tmp};
  roots.insert(policy.writable.begin(), policy.writable.end());
  for (const fs::path& path : roots) {
    profile += rule("allow", "file-read* file-write*", subpath(path));
  }
  for (const fs::path& path : policy.readable) {
    profile += rule("allow", "file-read*", subpath(path));
  }
  for (const fs::path& path : policy.secrets) {  // those below a folder that can be written in
    bool inside = false;
    for (const fs::path& root : roots) inside |= path != root && is_beneath(path, root);
    if (inside) profile += rule("deny", "file-read* file-write*", subpath(path));
  }
  std::set<fs::path> pins;
  for (const Protection& one : protections(policy)) {
    if (one.hold == Hold::pinned) pins.insert(one.path);
    if (one.hold != Hold::pinned)
      profile += rule("deny", "file-write*", pattern(one.path, "(/|$)"));
    add_pins(one.path, roots, pins);
  }
  for (const fs::path& path : pins) {
    if (!roots.contains(path)) profile += rule("deny", "file-write-unlink", pattern(path, "$"));
  }
  for (const fs::path& root : roots) {
    profile += rule("deny", "file-write-unlink", "(literal " + quoted(root) + ")");
  }
  if (policy.network) {
    profile += "(allow network* system-socket)\n";
  } else if (policy.proxy && proxy_port > 0) {
    profile += rule("allow", "network-outbound",
                    "(remote ip \"localhost:" + std::to_string(proxy_port) + "\")");
  }
  return profile;
}

}  // namespace corvid::sandbox
