// What this machine can do, measured: the yardsticks of `corvid bench`.
//
// Each function runs for some tenths of a second on `threads` threads. Any thread may call it.
#pragma once

#include "model/compute/cpu/kernels.h"

namespace corvid::model {

// Bytes per second of reading the same `bytes` 32 times: as a model reads its weights for as many
// tokens, from memory, or from a cache that can hold them.
double measure_read_bandwidth(const Kernels& kernels, int threads, std::size_t bytes);
// Multiply-adds (two operations each) per second of the kernel of a type on cached data.
double measure_multiply_peak(const Kernels& kernels, Type type, int threads);

}  // namespace corvid::model
