// Any bytes read as a KV snapshot, as they are and behind a right checksum: refused with a
// ModelError, or read within their bounds, and then written as they were.
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "model/error.h"
#include "model/snapshot.h"

using namespace corvid::model;

namespace {

void check(const std::vector<std::byte>& bytes) {
  try {
    const Snapshot snapshot = read_snapshot(bytes);
    std::vector<std::byte> again;
    write_snapshot(
        snapshot, snapshot.state.size(),
        [&](std::byte* out) { std::ranges::copy(snapshot.state, out); }, again);
    if (again != bytes) std::abort();
  } catch (const ModelError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* first = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> bytes(first, first + size);
  check(bytes);
  const std::uint64_t sum = XXH3_64bits(data, size);
  const auto* end = reinterpret_cast<const std::byte*>(&sum);
  bytes.insert(bytes.end(), end, end + sizeof sum);
  check(bytes);
  return 0;
}
