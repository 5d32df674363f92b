// The bytes of a KV snapshot: which model and cache it belongs to, its tokens and their KV state.
//
// A format for ever: magic, version, fingerprint, cache format, tokens, state, checksum of all
// before it; little-endian, texts and tokens behind their count. Whether a snapshot fits a context
// is for the context to say. Plain functions; any thread. read_snapshot throws ModelError with the
// reason when the bytes are no intact snapshot of a version that it knows.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model/chat.h"

namespace corvid::model {

struct Snapshot {
  std::string fingerprint;           // of the model's file
  std::string cache_format;          // see Backend::cache_format
  std::vector<Token> tokens;         // as they were written; a vocabulary may not have them
  std::span<const std::byte> state;  // of a snapshot that was read: points into its bytes
};

Snapshot read_snapshot(std::span<const std::byte> bytes);

// Replaces `out`. put_state fills `state_bytes` bytes in place, as they may be gigabytes.
void write_snapshot(const Snapshot& snapshot, std::size_t state_bytes,
                    const std::function<void(std::byte*)>& put_state, std::vector<std::byte>& out);

}  // namespace corvid::model
