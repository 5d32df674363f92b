// The kernels that work on codes of bytes, written once for every width of vector.
//
// Included only by the files of the kernel sets. V wraps one instruction set as in simd_kernels.h.
// A vector of kLanes floats F stands beside one of as many fours of bytes, Bytes, and one of as
// many sums, Words (i32); a plane of a panel is kParts vectors. V also has: kUnsignedLevels
// (whether dot wants levels of 8 bits with 128 added, or signed), load_bytes, store_bytes, four
// (one four for all lanes), no_bytes, flip (bit 7), keep (the bits of a mask), or_kept, shift (bits
// left, or right if negative), look_up (levels as dot wants
// them, from a table of levels + 128), codebook (signed levels), words, dot, dot of few bits
// (levels below 128), positive, floats, and floats out of packed scales: from_bytes, from_signed,
// from_low, from_high (nibbles), exponent (2^(e - 128)), top_bits (words >> 28). How many rows,
// panels and heads its registers hold: kCodeRows (with one panel, with two), kCodePanels,
// kIndexHeads, kIndexVectors. Every set computes the same bits of integers, whose sums are exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "model/compute/cpu/simd_kernels.h"

namespace corvid::model {

// A chunk of a panel as it lies in memory (panels.h); the next chunk follows it.
template <class V, Type type>
struct Packed {
  using F = typename V::F;
  using Bytes = typename V::Bytes;
  static constexpr PanelFormat f = panel_format(type);
  static constexpr int kHalves = 2 * kPanelRows;
  const std::byte* chunk;

  void next_chunk() { chunk += f.chunk_bytes(); }
  void prefetch(int b) const {
    for (int i = 0; i < f.block_bytes(); i += 64) __builtin_prefetch(block(b) + kFetchAhead + i);
    if (64 * b < f.head_bytes()) __builtin_prefetch(chunk + kFetchAhead + 64 * b);
  }
  const std::byte* block(int b) const { return chunk + f.head_bytes() + b * f.block_bytes(); }
  static Bytes plane(const std::byte* block, int plane, int part) {
    return V::load_bytes(block + plane * kPlane + part * 4 * V::kLanes);
  }

  // Levels of four `four` of block b.
  template <int four>
  Bytes levels(int b, int part) const {
    const std::byte* const at = block(b);
    if constexpr (f.scales == Scales::codebook) {
      const Bytes levels = V::template codebook<four>(at, part);  // signed
      return V::kUnsignedLevels ? V::flip(levels) : levels;
    } else if constexpr (f.code.bits == 8) {
      const Bytes levels = plane(at, four, part);
      return V::kUnsignedLevels ? levels : V::flip(levels);
    } else {
      constexpr int kNibbles = f.code.bits >= 4 ? 4 : 0, kPairs = f.code.bits % 4 >= 2 ? 2 : 0;
      Bytes codes = V::no_bytes();
      if constexpr (kNibbles > 0) {
        codes = V::keep(V::template shift < four < 4 ? 0 : -4 > (plane(at, four % 4, part)), 15);
      }
      if constexpr (kPairs > 0) {
        const Bytes pairs = plane(at, kNibbles + four / 4, part);
        constexpr int kLeft = kNibbles - four % 4 * 2;
        codes = V::or_kept(codes, V::template shift<kLeft>(pairs), 3 << kNibbles);
      }
      if constexpr (f.code.bits % 2 == 1) {
        constexpr int kBit = f.code.bits - 1;
        const Bytes bits = plane(at, kNibbles + kPairs, part);
        codes = V::or_kept(codes, V::template shift<kBit - four>(bits), 1 << kBit);
      }
      if constexpr (f.code.table != Table::none) {
        codes = V::look_up(kLevels[static_cast<int>(f.code.table)], codes);
      }
      return codes;
    }
  }

  // Of group g; `b` is the block that it belongs to.
  F scale(int b, int g, int part) const {
    const int row = V::kLanes * part, at = g * kPanelRows + row;
    if constexpr (f.scales == Scales::half || f.scales == Scales::half_and_minimum) {
      return halves(chunk + 2 * at);
    } else if constexpr (f.scales == Scales::exponent) {
      return V::exponent(chunk + at);
    } else if constexpr (f.scales == Scales::integer) {
      return V::mul(halves(chunk + 2 * row), V::from_signed(chunk + kHalves + at));
    } else if constexpr (f.scales == Scales::with_minimum) {
      return V::mul(halves(chunk + 2 * row), V::from_bytes(chunk + 2 * kHalves + at));
    } else if constexpr (f.scales == Scales::nibbles) {
      return V::mul(halves(chunk + 2 * row), V::from_low(chunk + 2 * kHalves + at));
    } else {
      const F s = V::top_bits(block(b) + kPlane + 4 * row);
      return V::mul(halves(chunk + 2 * row), V::fma(s, V::set1(0.25f), V::set1(0.125f)));
    }
  }

  F minimum(int g, int part, F scale) const {
    const int row = V::kLanes * part, at = g * kPanelRows + row;
    const std::byte* const d = chunk + kHalves + 2 * row;
    if constexpr (f.scales == Scales::half_and_minimum) {
      return halves(chunk + 2 * (f.groups() * kPanelRows + at));
    } else if constexpr (f.scales == Scales::with_minimum) {
      const std::byte* const minimums = chunk + 2 * kHalves + f.groups() * kPanelRows;
      return V::mul(halves(d), V::from_bytes(minimums + at));
    } else if constexpr (f.scales == Scales::nibbles) {
      return V::mul(halves(d), V::from_high(chunk + 2 * kHalves + at));
    } else {
      return V::mul(scale, V::set1(f.code.zero));
    }
  }

 private:
  static F halves(const std::byte* at) {
    return V::load_f16(reinterpret_cast<const std::uint16_t*>(at));
  }
};

// A chunk unpacked, which several rows are multiplied with. `minimums`: see PanelFormat.
template <class V, int group, bool minimums>
struct Unpacked {
  alignas(64) std::byte planes[kChunkBlocks * 8 * kPlane];
  alignas(64) float scales[2][kChunk / group * kPanelRows];  // and minimums

  template <Type type>
  void unpack(const Packed<V, type>& from, int blocks) {
    for (int i = 0; i < blocks * V::kParts; ++i) {
      const int b = i / V::kParts, part = i % V::kParts;
      if (part == 0) from.prefetch(b);
      [&]<int... four>(std::integer_sequence<int, four...>) __attribute__((always_inline)) {
        (V::store_bytes(planes + (8 * b + four) * kPlane + part * 4 * V::kLanes,
                        from.template levels<four>(b, part)),
         ...);
      }
      (std::make_integer_sequence<int, 8>());
      for (int j = 0; j < kBlock / group; ++j) {
        const int g = b * (kBlock / group) + j, at = g * kPanelRows + part * V::kLanes;
        const auto scale = from.scale(b, g, part);
        V::store(scales[0] + at, scale);
        if (minimums) V::store(scales[1] + at, from.minimum(g, part, scale));
      }
    }
  }
};

// Reads an unpacked chunk as Packed reads a packed one.
template <class V, int group, bool minimums>
struct UnpackedView {
  static constexpr PanelFormat f = {{8, minimums ? 0 : 128}, Scales::half, group};
  const Unpacked<V, group, minimums>* of;

  void next_chunk() const {}  // it is the only one
  void prefetch(int) const {}
  template <int four>
  typename V::Bytes levels(int b, int part) const {
    return V::load_bytes(of->planes + (8 * b + four) * kPlane + part * 4 * V::kLanes);
  }
  typename V::F scale(int, int g, int part) const {
    return V::load(of->scales[0] + g * kPanelRows + part * V::kLanes);
  }
  typename V::F minimum(int g, int part, typename V::F) const {
    return V::load(of->scales[1] + g * kPanelRows + part * V::kLanes);
  }
};

// T rows by P panels, of which `chunks` are the first; `first`: nothing has been summed up yet.
template <class V, int T, int P, class Chunk>
inline void codes_tile(Chunk* chunks, int blocks, const std::int8_t* const* codes,
                       const InputBlock* const* inputs, bool first, float* out,
                       std::ptrdiff_t stride) {
  constexpr PanelFormat f = Chunk::f;
  constexpr int kGroups = kBlock / f.group;  // of a block, with a scale of their own
  constexpr int N = P * V::kParts;           // vector n is part n % kParts of panel n / kParts
  typename V::F sums[T][N];
#pragma GCC unroll 64
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
    for (int n = 0; n < N; ++n) {
      sums[t][n] = first ? V::zero() : V::load(out + t * stride + n * V::kLanes);
    }
  }
  const auto add_block = [&](int k, int b) __attribute__((always_inline)) {  // block b of a chunk
    if constexpr (T <= kFewRows) {                                           // bound by memory
#pragma GCC unroll 64
      for (int p = 0; p < P; ++p) chunks[p].prefetch(b);
    }
    const auto group = [&]<int i, int... j>(std::integral_constant<int, i>,
                                            std::integer_sequence<int, j...>)
        __attribute__((always_inline)) {
      typename V::Words dots[T][N];
#pragma GCC unroll 64
      for (int t = 0; t < T; ++t) {
        // Cancels the 128 in the levels.
        const bool offset = V::kUnsignedLevels && !f.has_minimums();
#pragma GCC unroll 64
        for (int n = 0; n < N; ++n) dots[t][n] = V::words(offset ? inputs[t][k].offset : 0);
      }
      const auto add = [&]<int four>(std::integral_constant<int, four>)
          __attribute__((always_inline)) {
        typename V::Bytes w[N];
#pragma GCC unroll 64
        for (int n = 0; n < N; ++n) {
          w[n] = chunks[n / V::kParts].template levels<four>(b, n % V::kParts);
        }
#pragma GCC unroll 64
        for (int t = 0; t < T; ++t) {
          const auto c = V::four(codes[t] + k * kBlock + 4 * four);
#pragma GCC unroll 64
          for (int n = 0; n < N; ++n) {
            dots[t][n] = V::template dot<f.has_minimums()>(dots[t][n], w[n], c);
          }
        }
      };
      (add(std::integral_constant<int, i*(f.group / 4) + j>{}), ...);
      const int g = b * kGroups + i;
#pragma GCC unroll 64
      for (int n = 0; n < N; ++n) {
        const Chunk& chunk = chunks[n / V::kParts];
        const auto scale = chunk.scale(b, g, n % V::kParts);
#pragma GCC unroll 64
        for (int t = 0; t < T; ++t) {
          const auto both = V::mul(scale, V::set1(inputs[t][k].scale));
          sums[t][n] = V::fma(V::floats(dots[t][n]), both, sums[t][n]);
        }
        if constexpr (f.has_minimums()) {
          const auto minimum = chunk.minimum(g, n % V::kParts, scale);
#pragma GCC unroll 64
          for (int t = 0; t < T; ++t) {
            const float sum = kGroups == 1 ? inputs[t][k].sum : inputs[t][k].half_sum[i];
            sums[t][n] = V::fms(minimum, V::set1(sum), sums[t][n]);
          }
        }
      }
    };
    group(std::integral_constant<int, 0>{}, std::make_integer_sequence<int, f.group / 4>());
    if constexpr (kGroups == 2) {
      group(std::integral_constant<int, 1>{}, std::make_integer_sequence<int, f.group / 4>());
    }
  };
  for (int k = 0; k < blocks; k += kChunkBlocks) {
    const int rest = blocks - k < kChunkBlocks ? blocks - k : kChunkBlocks;
    for (int b = 0; b < rest; ++b) add_block(k + b, b);
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) chunks[p].next_chunk();
  }
#pragma GCC unroll 64
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
    for (int n = 0; n < N; ++n) V::store(out + t * stride + n * V::kLanes, sums[t][n]);
  }
}

// One call of multiply(), without its panels.
struct MultiplyCall {
  const Input& input;
  const int* rows;
  int n_rows;
  float* out;
  std::ptrdiff_t stride;
};

// Rows [i, n_rows) as far as whole tiles go, over `blocks` from column k on; returns the first row
// left.
template <class V, int T, int P, class Chunk>
inline int codes_tiles(const Chunk* from, int k, int blocks, const MultiplyCall& all, int i) {
  for (; i + T <= all.n_rows; i += T) {
    const std::int8_t* codes[T];
    const InputBlock* inputs[T];
    for (int t = 0; t < T; ++t) {
      const std::ptrdiff_t row = all.rows ? all.rows[i + t] : i + t;
      codes[t] = all.input.codes + row * all.input.codes_stride + k;
      inputs[t] = all.input.blocks + row * all.input.blocks_stride + k / kBlock;
    }
    Chunk chunks[P];
    for (int p = 0; p < P; ++p) chunks[p] = from[p];
    codes_tile<V, T, P>(chunks, blocks, codes, inputs, k == 0, all.out + i * all.stride,
                        all.stride);
  }
  return i;
}

// Rows [i, n_rows), T at a time as far as it goes, then half as many.
template <class V, int T, int P, class Chunk>
inline void all_tiles(const Chunk* chunks, int k, int blocks, const MultiplyCall& all, int i = 0) {
  i = codes_tiles<V, T, P>(chunks, k, blocks, all, i);
  if constexpr (T > 1) all_tiles<V, T / 2, P>(chunks, k, blocks, all, i);
}

// A few rows are multiplied with the packed panel; for more, each chunk is unpacked once.
template <class V, Type type, int P>
inline void multiply_panels(const std::byte* const* panels, int columns, const MultiplyCall& all) {
  constexpr PanelFormat f = panel_format(type);
  constexpr int T = V::kCodeRows[P - 1];
  Packed<V, type> packed[P];
  for (int p = 0; p < P; ++p) packed[p].chunk = panels[p];
  if constexpr (type == Type::q8_0 && V::kUnsignedLevels) {
    all_tiles<V, T, P>(packed, 0, columns / kBlock, all);
  } else {
    if constexpr (P == 1) {
      constexpr int kFew = T < kFewRows ? T : kFewRows;
      if (all.n_rows <= kFew) return all_tiles<V, kFew, P>(packed, 0, columns / kBlock, all);
    }
    Unpacked<V, f.group, f.has_minimums()> unpacked[P];
    UnpackedView<V, f.group, f.has_minimums()> views[P];
    for (int p = 0; p < P; ++p) views[p].of = &unpacked[p];
    for (int k = 0; k < columns; k += kChunk) {
      const int blocks = (columns - k < kChunk ? columns - k : kChunk) / kBlock;
      for (int p = 0; p < P; ++p) {
        unpacked[p].unpack(packed[p], blocks);
        packed[p].next_chunk();
      }
      all_tiles<V, T, P>(views, k, blocks, all);
    }
  }
}

template <class V, Type type>
void multiply_codes(const std::byte* const* panels, int n_panels, int k, const Input& input,
                    const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  MultiplyCall all{input, rows, n_rows, out, stride};
  int p = 0;
  // Few rows are bound by memory, which gives more to one stream of reads than to two side by side.
  if constexpr (V::kCodePanels == 2) {
    for (; n_rows > kFewRows && p + 2 <= n_panels; p += 2, all.out += 2 * kPanelRows) {
      multiply_panels<V, type, 2>(panels + p, k, all);
    }
  }
  for (; p < n_panels; ++p, all.out += kPanelRows) {
    multiply_panels<V, type, 1>(panels + p, k, all);
  }
}

template <class V>
void quantize(const float* values, int n, std::int8_t* codes, InputBlock* blocks) {
  for (int b = 0; b < n / kBlock; ++b, values += kBlock, codes += kBlock) {
    auto most = V::zero();
    for (int i = 0; i < kBlock; i += V::kLanes) most = V::max(most, V::abs(V::load(values + i)));
    const float largest = V::largest(most);
    int sums[2];  // of sixteen codes
    V::encode(values, largest > 0 ? 127 / largest : 0, codes, sums);
    const float scale = largest / 127;
    blocks[b] = {scale,
                 -128 * (sums[0] + sums[1]),
                 scale * static_cast<float>(sums[0] + sums[1]),
                 {scale * static_cast<float>(sums[0]), scale * static_cast<float>(sums[1])}};
  }
}

// H heads against kIndexVectors * kLanes keys of a page; a cache line of `next` for every four.
template <class V, int H>
inline void index_heads(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
                        int width, const std::uint8_t* keys, const std::uint8_t* next,
                        typename V::F* scores) {
  constexpr int N = V::kIndexVectors;
  typename V::Words dots[H][N];
#pragma GCC unroll 64
  for (int a = 0; a < H; ++a) {
#pragma GCC unroll 64
    for (int n = 0; n < N; ++n) dots[a][n] = V::words(V::kUnsignedLevels ? offsets[a] : 0);
  }
  for (int g = 0; g < width / 4; ++g) {
    __builtin_prefetch(next + g * 64);
    typename V::Bytes k[N];
#pragma GCC unroll 64
    for (int n = 0; n < N; ++n) {
      k[n] = V::load_bytes(keys + (g * kPageKeys + n * V::kLanes) * 4);
      if (!V::kUnsignedLevels) k[n] = V::flip(k[n]);
    }
#pragma GCC unroll 64
    for (int a = 0; a < H; ++a) {
      const auto q = V::four(query + a * width + 4 * g);
#pragma GCC unroll 64
      for (int n = 0; n < N; ++n) dots[a][n] = V::template dot<false>(dots[a][n], k[n], q);
    }
  }
#pragma GCC unroll 64
  for (int a = 0; a < H; ++a) {
    const auto w = V::set1(weights[a]);
#pragma GCC unroll 64
    for (int n = 0; n < N; ++n) {
      scores[n] = V::fma(w, V::floats(V::positive(dots[a][n])), scores[n]);
    }
  }
}

template <class V>
void index_q8(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
              int heads, int width, const std::uint8_t* keys, const float* key_scales,
              const std::uint8_t* next, float* scores) {
  constexpr int H = V::kIndexHeads, N = V::kIndexVectors;
  const int share = width / 4 * 64;  // of `next`, which goes to as many as four groups of heads
  const std::uint8_t* const last = next + 3 * share;
  for (int t = 0; t < kPageKeys; t += N * V::kLanes) {
    typename V::F sums[N];
    for (int n = 0; n < N; ++n) sums[n] = V::zero();
    const auto some = [&]<int n>(std::integral_constant<int, n>, int h)
        __attribute__((always_inline)) {
      index_heads<V, n>(query + h * width, offsets + h, weights + h, width, keys + 4 * t, next,
                        sums);
      if (next < last) next += share;
    };
    int h = 0;
    for (; h + H <= heads; h += H) some(std::integral_constant<int, H>{}, h);
    for (; h < heads; ++h) some(std::integral_constant<int, 1>{}, h);
    for (int n = 0; n < N; ++n) {
      const int at = t + n * V::kLanes;
      V::store(scores + at, V::mul(sums[n], V::load(key_scales + at)));
    }
  }
}

template <class V>
constexpr Kernels simd_set(std::string_view name) {
  return {
      .name = name,
      .multiply = multiply_table<[]<Type type>() -> Multiply {
        if constexpr (is_quantized(type)) {
          return multiply_codes<V, type>;
        } else {
          return multiply_values<V, type>;
        }
      }>(),
      .quantize = quantize<V>,
      .sum = sum<V>,
      .rms_norm = rms_norm<V>,
      .gate = gate<V>,
      .attend_f32 = attend<V, float>,
      .attend_f16 = attend<V, std::uint16_t>,
      .soften = soften<V>,
      .index_f32 = index_f32<V>,
      .index_q8 = index_q8<V>,
  };
}

}  // namespace corvid::model
