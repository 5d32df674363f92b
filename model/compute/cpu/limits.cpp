#include "model/compute/cpu/limits.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "model/compute/cpu/packed_matrix.h"
#include "model/compute/cpu/threads.h"

namespace corvid::model {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double measure_read_bandwidth(const Kernels& kernels, int threads, std::size_t bytes) {
  Team team(threads);
  constexpr int kUnit = 16384;  // values
  const int units = static_cast<int>(std::max<std::size_t>(bytes / sizeof(float) / kUnit, 1));
  const Aligned<float> values(std::size_t{kUnit} * units);
  team.each(units, [&](int i, int) { std::fill_n(values.data() + i * kUnit, kUnit, 1.0f); });
  struct Run {
    int first, n;
    float sum;
  };
  std::vector<Run> runs;  // as decoding cuts them
  Pieces cut = Pieces::shrinking(units, threads, 1);
  for (int first = 0; first < units; first += runs.back().n) {
    runs.push_back({first, cut.next(units - first), 0});
  }
  const auto read = [&] {
    team.each(static_cast<int>(runs.size()), [&](int i, int) {
      const std::size_t first = runs[i].first, n = runs[i].n;
      runs[i].sum = kernels.sum(values.data() + first * kUnit, n * kUnit);
    });
  };
  read();
  constexpr int kRounds = 32;
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < kRounds; ++round) read();
  return kRounds * values.size() * sizeof(float) / seconds_since(start);
}

double measure_multiply_peak(const Kernels& kernels, Type type, int threads) {
  constexpr int kColumns = 512, kRows = 48, kCalls = 4000;
  Team team(threads);
  // Two panels and the rows fit into the first-level cache. Zeros multiply as fast as numbers.
  const std::size_t bytes = std::size_t{kColumns} * kPanelRows * 4;
  std::vector<Aligned<std::byte>> panels;
  for (int i = 0; i < 2; ++i) {
    panels.emplace_back(bytes);
    std::memset(panels.back().data(), 0, bytes);
  }
  const std::vector<float> values(kRows * kColumns);
  const std::vector<std::int8_t> codes(values.size());
  const std::vector<InputBlock> blocks(values.size() / kBlock);
  const Input input{values.data(), kColumns,      codes.data(),
                    kColumns,      blocks.data(), kColumns / kBlock};
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    team.each(threads * 8, [&](int, int) {
      std::vector<float> out(kRows * 2 * kPanelRows);
      const std::byte* const two[2] = {panels[0].data(), panels[1].data()};
      for (int call = 0; call < kCalls / 8; ++call) {
        kernels.multiply[static_cast<int>(type)](two, 2, kColumns, input, nullptr, kRows,
                                                 out.data(), 2 * kPanelRows);
      }
    });
    const double operations = 2.0 * kRows * kColumns * 2 * kPanelRows * kCalls * threads;
    best = std::max(best, operations / seconds_since(start));
  }
  return best;
}

}  // namespace corvid::model
