#include "model/files/quant_blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

namespace corvid::model {
namespace {

std::uint8_t at(const std::byte* bytes, int i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float half(const std::byte* from) {
  return f16_to_f32(load<std::uint16_t>(from));
}

void set_groups(Block& block, int groups, int scale, int minimum) {
  for (int g = 0; g < groups; ++g) {
    block.scales[g] = static_cast<std::int16_t>(scale);
    block.minimums[g] = static_cast<std::int16_t>(minimum);
  }
}

// --- Blocks of 32. -----------------------------------------------------------------------------

// 16 bytes: the low nibbles are the first 16 codes, the high ones the others.
void halves_of_32(const std::byte* nibbles, std::uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = at(nibbles, j) & 15;
    codes[j + 16] = at(nibbles, j) >> 4;
  }
}

void fifth_bits(const std::byte* bits, std::uint8_t* codes) {
  const auto high = load<std::uint32_t>(bits);
  for (int j = 0; j < 32; ++j) codes[j] |= static_cast<std::uint8_t>((high >> j & 1) << 4);
}

void read_q4_0(const std::byte* in, Block& out) {
  out.scale = half(in);
  set_groups(out, 2, 1, 0);
  halves_of_32(in + 2, out.codes);
}

void read_q4_1(const std::byte* in, Block& out) {
  out.scale = half(in);
  out.minimum = -half(in + 2);
  set_groups(out, 2, 1, 1);
  halves_of_32(in + 4, out.codes);
}

void read_q5_0(const std::byte* in, Block& out) {
  out.scale = half(in);
  set_groups(out, 2, 1, 0);
  halves_of_32(in + 6, out.codes);
  fifth_bits(in + 2, out.codes);
}

void read_q5_1(const std::byte* in, Block& out) {
  out.scale = half(in);
  out.minimum = -half(in + 2);
  set_groups(out, 2, 1, 1);
  halves_of_32(in + 8, out.codes);
  fifth_bits(in + 4, out.codes);
}

void read_q8_0(const std::byte* in, Block& out) {
  out.scale = half(in);
  set_groups(out, 2, 1, 0);
  for (int j = 0; j < 32; ++j) out.codes[j] = at(in, 2 + j) ^ 0x80;
}

void read_mxfp4(const std::byte* in, Block& out) {
  // 2^(e - 127), halved because the levels are doubled; the two smallest are subnormal.
  const std::uint32_t e = at(in, 0);
  out.scale = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  set_groups(out, 2, 1, 0);
  halves_of_32(in + 1, out.codes);
}

// --- Blocks of 256. ----------------------------------------------------------------------------

// 64 bytes: for each half of 128 values its own 32 bytes, which hold 4 times 32 codes of 2 bits.
void pairs_of_256(const std::byte* pairs, std::uint8_t* codes) {
  for (int g = 0; g < 8; ++g) {
    const std::byte* const in = pairs + g / 4 * 32;
    for (int l = 0; l < 32; ++l) codes[32 * g + l] = at(in, l) >> (g % 4 * 2) & 3;
  }
}

// 128 bytes: each 32 of them hold 64 codes, the low nibbles first.
void nibbles_of_256(const std::byte* nibbles, std::uint8_t* codes) {
  for (int g = 0; g < 8; ++g) {
    const std::byte* const in = nibbles + g / 2 * 32;
    for (int l = 0; l < 32; ++l) codes[32 * g + l] = at(in, l) >> (g % 2 * 4) & 15;
  }
}

// 32 bytes: bit g of byte l is bit `to` of code 32 g + l.
void single_bits(const std::byte* bits, int to, std::uint8_t* codes) {
  for (int g = 0; g < 8; ++g) {
    for (int l = 0; l < 32; ++l) {
      codes[32 * g + l] |= static_cast<std::uint8_t>((at(bits, l) >> g & 1) << to);
    }
  }
}

void read_q2_k(const std::byte* in, Block& out) {
  out.scale = half(in + 80);
  out.minimum = half(in + 82);
  for (int g = 0; g < 16; ++g) {
    out.scales[g] = at(in, g) & 15;
    out.minimums[g] = at(in, g) >> 4;
  }
  pairs_of_256(in + 16, out.codes);
}

void read_q3_k(const std::byte* in, Block& out) {
  const std::byte* scales = in + 96;
  out.scale = half(in + 108);
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? at(scales, g) & 15 : at(scales, g - 8) >> 4;
    const int high = at(scales, 8 + g % 4) >> (2 * (g / 4)) & 3;
    out.scales[g] = static_cast<std::int16_t>((low | high << 4) - 32);
    out.minimums[g] = 0;
  }
  pairs_of_256(in + 32, out.codes);
  single_bits(in, 2, out.codes);
}

// Eight scales and eight minimums of 6 bits in 12 bytes, each for 32 values.
void scales_and_minimums(const std::byte* in, Block& out) {
  for (int j = 0; j < 8; ++j) {
    int scale = at(in, j) & 63, minimum = at(in, j + 4) & 63;
    if (j >= 4) {
      scale = (at(in, j + 4) & 15) | at(in, j - 4) >> 6 << 4;
      minimum = at(in, j + 4) >> 4 | at(in, j) >> 6 << 4;
    }
    out.scales[2 * j] = out.scales[2 * j + 1] = static_cast<std::int16_t>(scale);
    out.minimums[2 * j] = out.minimums[2 * j + 1] = static_cast<std::int16_t>(minimum);
  }
}

void read_q4_k(const std::byte* in, Block& out) {
  out.scale = half(in);
  out.minimum = half(in + 2);
  scales_and_minimums(in + 4, out);
  nibbles_of_256(in + 16, out.codes);
}

void read_q5_k(const std::byte* in, Block& out) {
  out.scale = half(in);
  out.minimum = half(in + 2);
  scales_and_minimums(in + 4, out);
  nibbles_of_256(in + 48, out.codes);
  single_bits(in + 16, 4, out.codes);
}

void read_q6_k(const std::byte* in, Block& out) {
  out.scale = half(in + 208);
  for (int g = 0; g < 16; ++g) {
    out.scales[g] = load<std::int8_t>(in + 192 + g);
    out.minimums[g] = 0;
  }
  pairs_of_256(in + 128, out.codes);
  for (int g = 0; g < 4; ++g) {  // each 64 bytes hold 128 nibbles, the low ones first
    const std::byte* const low = in + g / 2 * 64;
    for (int l = 0; l < 64; ++l) {
      const int code = out.codes[64 * g + l] << 4 | (at(low, l) >> (g % 2 * 4) & 15);
      out.codes[64 * g + l] = static_cast<std::uint8_t>(code);
    }
  }
}

void read_iq4_xs(const std::byte* in, Block& out) {
  out.scale = half(in);
  const auto high = load<std::uint16_t>(in + 2);
  for (int b = 0; b < 8; ++b) {
    const int low = at(in, 4 + b / 2) >> (4 * (b % 2)) & 15;
    const int scale = (low | (high >> (2 * b) & 3) << 4) - 32;
    out.scales[2 * b] = out.scales[2 * b + 1] = static_cast<std::int16_t>(scale);
    out.minimums[2 * b] = out.minimums[2 * b + 1] = 0;
    halves_of_32(in + 8 + 16 * b, out.codes + 32 * b);
  }
}

// The codebook of IQ2_XXS: two bits a value, that stand for 8, 25 and 43. Source: ggml, whose
// tables are under the MIT licence, Copyright (c) 2023-2026 The ggml authors.
constexpr std::uint16_t kIq2XxsCodebook[256] = {
    0x0000, 0x0002, 0x0005, 0x0008, 0x000a, 0x0011, 0x0014, 0x0020, 0x0022, 0x0028, 0x002a, 0x0041,
    0x0044, 0x0050, 0x0058, 0x0061, 0x0064, 0x0080, 0x0082, 0x008a, 0x00a2, 0x0101, 0x0104, 0x0110,
    0x0115, 0x0140, 0x0184, 0x0198, 0x0200, 0x0202, 0x0222, 0x0282, 0x0401, 0x0404, 0x0410, 0x0421,
    0x0424, 0x0440, 0x0442, 0x0448, 0x0460, 0x0481, 0x0484, 0x0490, 0x04a4, 0x0500, 0x0502, 0x0508,
    0x0520, 0x0546, 0x0569, 0x0580, 0x0591, 0x0609, 0x0610, 0x0640, 0x0684, 0x06a4, 0x0800, 0x0805,
    0x0808, 0x0814, 0x0828, 0x0841, 0x0844, 0x0850, 0x0852, 0x0888, 0x0904, 0x0940, 0x0a02, 0x0a14,
    0x1001, 0x1004, 0x1010, 0x1021, 0x1040, 0x1060, 0x1084, 0x1090, 0x1095, 0x1100, 0x1108, 0x1120,
    0x1150, 0x115a, 0x1180, 0x1224, 0x1245, 0x1400, 0x1408, 0x1420, 0x1425, 0x1449, 0x1480, 0x1518,
    0x1562, 0x1600, 0x1616, 0x1801, 0x1804, 0x1810, 0x1840, 0x1881, 0x1900, 0x1905, 0x19a0, 0x1a51,
    0x2000, 0x2002, 0x200a, 0x2044, 0x2061, 0x2080, 0x2082, 0x2129, 0x2148, 0x2200, 0x2202, 0x2401,
    0x2404, 0x2410, 0x2440, 0x2456, 0x2500, 0x2541, 0x2564, 0x2690, 0x2808, 0x2820, 0x2894, 0x2a44,
    0x4001, 0x4004, 0x4010, 0x4018, 0x4021, 0x4024, 0x4040, 0x4048, 0x4056, 0x4060, 0x4081, 0x4084,
    0x4090, 0x4100, 0x4120, 0x4161, 0x4180, 0x4185, 0x4201, 0x4210, 0x4248, 0x4256, 0x4268, 0x4400,
    0x4408, 0x4420, 0x4480, 0x4499, 0x4512, 0x4524, 0x4600, 0x4801, 0x4804, 0x4810, 0x4840, 0x4845,
    0x4900, 0x4958, 0x4961, 0x4982, 0x4a45, 0x4a90, 0x5000, 0x5008, 0x5011, 0x5019, 0x5020, 0x5080,
    0x5088, 0x5104, 0x5142, 0x51a4, 0x5291, 0x5490, 0x5492, 0x550a, 0x5601, 0x5654, 0x5800, 0x5811,
    0x5819, 0x5864, 0x5940, 0x5a08, 0x6004, 0x6010, 0x6040, 0x6068, 0x6100, 0x6155, 0x6218, 0x6260,
    0x6400, 0x6405, 0x6510, 0x6512, 0x6584, 0x6842, 0x8000, 0x8002, 0x800a, 0x8041, 0x8082, 0x8104,
    0x8118, 0x8140, 0x8211, 0x8401, 0x8404, 0x8410, 0x8415, 0x8440, 0x8460, 0x8500, 0x8546, 0x8594,
    0x8609, 0x8640, 0x8660, 0x8802, 0x8904, 0x8a11, 0x9004, 0x9010, 0x9024, 0x9040, 0x90a1, 0x9116,
    0x9180, 0x9245, 0x9400, 0x9422, 0x9444, 0x9551, 0x9881, 0x9920, 0xa002, 0xa050, 0xa085, 0xa109,
    0xa200, 0xa418, 0xa850, 0xa904,
};

constexpr std::array<std::uint64_t, 256> kIq2XxsGrid = [] {
  constexpr std::uint64_t kValues[] = {8, 25, 43, 0};
  std::array<std::uint64_t, 256> grid{};
  for (int i = 0; i < 256; ++i) {
    for (int j = 0; j < 8; ++j) grid[i] |= kValues[kIq2XxsCodebook[i] >> (2 * j) & 3] << (8 * j);
  }
  return grid;
}();

void read_iq2_xxs(const std::byte* in, Block& out) {
  out.scale = half(in) / 8;  // d * (s + 1/2) / 4 = d / 8 * (2 s + 1)
  for (int b = 0; b < 8; ++b) {
    const std::byte* group = in + 2 + 8 * b;
    const auto word = load<std::uint32_t>(group + 4);
    out.scales[2 * b] = out.scales[2 * b + 1] = static_cast<std::int16_t>(2 * (word >> 28) + 1);
    out.minimums[2 * b] = out.minimums[2 * b + 1] = 0;
    for (int l = 0; l < 4; ++l) {
      const std::uint64_t values = kIq2XxsGrid[at(group, l)];
      const std::uint32_t seven = word >> (7 * l) & 127;
      const std::uint32_t signs = seven | (std::popcount(seven) & 1) << 7;  // an even number
      for (int j = 0; j < 8; ++j) {
        const int value = static_cast<int>(values >> (8 * j) & 255);
        out.codes[32 * b + 8 * l + j] =
            static_cast<std::uint8_t>(128 + (signs >> j & 1 ? -value : value));
      }
    }
  }
}

}  // namespace

void read_block(Type type, const std::byte* bytes, Block& block) {
  switch (type) {
    case Type::q4_0:
    case Type::iq4_nl:
      return read_q4_0(bytes, block);
    case Type::q4_1:
      return read_q4_1(bytes, block);
    case Type::q5_0:
      return read_q5_0(bytes, block);
    case Type::q5_1:
      return read_q5_1(bytes, block);
    case Type::q8_0:
      return read_q8_0(bytes, block);
    case Type::mxfp4:
      return read_mxfp4(bytes, block);
    case Type::q2_k:
      return read_q2_k(bytes, block);
    case Type::q3_k:
      return read_q3_k(bytes, block);
    case Type::q4_k:
      return read_q4_k(bytes, block);
    case Type::q5_k:
      return read_q5_k(bytes, block);
    case Type::q6_k:
      return read_q6_k(bytes, block);
    case Type::iq4_xs:
      return read_iq4_xs(bytes, block);
    case Type::iq2_xxs:
      return read_iq2_xxs(bytes, block);
    default:
      assert(!"a quantised type");
  }
}

const std::uint64_t* iq2_xxs_grid() {
  return kIq2XxsGrid.data();
}

}  // namespace corvid::model
