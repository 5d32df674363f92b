// What lies at one name in an open folder: looked at before a command, compared and put back after
// it. No link is followed. Stub only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/descriptor.h"
#include "sandbox/policy.h"

namespace corvid::sandbox {

struct Place {
  Descriptor folder;  // empty: it is not there
  std::string name;
};

struct PathState {
  enum class Kind { missing, file, folder, link };
  using Files = std::map<std::string, std::pair<mode_t, std::string>>;  // by name

  Kind kind = Kind::missing;
  std::string identity;  // of the device and the node
  std::string bytes;     // of a file; target of a link
  mode_t mode = 0;
  Files members;  // of a folder, but git's samples of hooks
};

inline constexpr std::size_t kMaxStateBytes = 1 << 20;  // protected files are small

// Resolved from the writable folder down, so that it cannot lead out.
Place place_of(const Policy& policy, const std::filesystem::path& path);

// `contents`: with the bytes of files, also of those in a folder.
PathState state_of(const Place& place, bool contents);
bool same_contents(const PathState& a, const PathState& b);
void put_back(const Place& place, const PathState& state);

// The new name, empty when there was nothing to rename. Nothing is ever deleted.
std::string move_aside(const Place& place);

std::vector<std::string> names_in(const Place& place);
void write_new_file(const Place& place, const std::string& bytes, mode_t mode);

}  // namespace corvid::sandbox
