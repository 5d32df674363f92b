// Bytes, operations and commands of a back end since it was made, counted where they are read, done
// and given.
#pragma once

#include <cstdint>

namespace corvid::model {

struct Traffic {
  std::int64_t weight_bytes = 0;
  std::int64_t cache_bytes = 0;
  std::int64_t operations = 0;  // a multiplication and an addition are two
  // Of a GPU: what its kernels read and write besides, each word once per kernel; and what has to
  // be read: weights as they are in the file, and the values of the cache.
  std::int64_t activation_bytes = 0, ideal_bytes = 0;
  // What was recorded, and how often it was handed over.
  std::int64_t dispatches = 0, barriers = 0, copies = 0, submissions = 0, recordings = 0;
  // Over the bus, to the device (weights, too) and back: copies, and what kernels read and write in
  // memory near the CPU.
  std::int64_t bus_up_bytes = 0, bus_down_bytes = 0;
};

}  // namespace corvid::model
