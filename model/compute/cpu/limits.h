// What this machine can do at best, measured: the yardsticks of `corvid bench`.
//
// Each function runs for some tenths of a second on `threads` threads. Any thread may call it.
#pragma once

#include "model/compute/cpu/kernels.h"

namespace corvid::model {

double measure_read_bandwidth(int threads);  // bytes per second, memory far beyond the caches
// Multiply-adds (two operations each) per second of the kernel of a type on cached data.
double measure_multiply_peak(const Kernels& kernels, Type type, int threads);

}  // namespace corvid::model
