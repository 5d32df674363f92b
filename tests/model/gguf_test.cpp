#include "model/files/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "model/error.h"
#include "model/files/quant_blocks.h"
#include "tests/model/gguf_writer.h"

namespace corvid::model {
namespace {

using ::testing::ElementsAre;
using testing::gguf_from;
using testing::GgufWriter;
using ::testing::HasSubstr;

const std::vector<float> kSixty = std::vector<float>(64, 1.5f);

GgufWriter small() {
  GgufWriter writer;
  writer.text("general.architecture", "deepseek32").u32("deepseek32.block_count", 4);
  writer.f32("deepseek32.rope.freq_base", 10000).boolean("flag", true);
  writer.texts("words", {"a", "bc"}).i32s("numbers", {1, -2, 3});
  writer.tensor("token_embd.weight", Type::f32, {16, 4}, kSixty);
  writer.tensor("output_norm.weight", Type::f32, {16}, std::span(kSixty).first(16));
  return writer;
}

std::string problem_of(const std::string& bytes) {
  try {
    gguf_from(bytes);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "no error";
}

std::string problem_of(const GgufWriter& writer) {
  return problem_of(writer.bytes());
}

TEST(Gguf, ReadsKeysAndTensors) {
  const auto file = gguf_from(small().bytes());
  EXPECT_EQ(file->string("general.architecture"), "deepseek32");
  EXPECT_EQ(file->integer("deepseek32.block_count"), 4);
  EXPECT_EQ(file->number("deepseek32.block_count"), 4.0);
  EXPECT_EQ(file->number("deepseek32.rope.freq_base"), 10000.0);
  EXPECT_EQ(file->integer("flag"), 1);
  EXPECT_EQ(file->integer("absent"), std::nullopt);
  EXPECT_THAT(*file->strings("words"), ElementsAre("a", "bc"));
  EXPECT_THAT(*file->integers("numbers"), ElementsAre(1, -2, 3));
  EXPECT_EQ(file->strings("absent"), nullptr);
  ASSERT_EQ(file->tensors().size(), 2u);
  const TensorView* embedding = file->tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_THAT(embedding->ne, ElementsAre(16, 4));
  EXPECT_EQ(embedding->elements(), 64);
  EXPECT_EQ(embedding->bytes, 256u);
  EXPECT_EQ(std::memcmp(embedding->data, kSixty.data(), 256), 0);
  EXPECT_EQ(file->tensor("absent"), nullptr);
}

TEST(Gguf, OpensAFileFromDiskAsFromMemory) {
  const auto path = std::filesystem::temp_directory_path() / "corvid_gguf_test.gguf";
  std::ofstream(path, std::ios::binary) << small().bytes();
  const auto mapped = GgufFile::open(path);
  EXPECT_EQ(mapped->name(), path.string());
  EXPECT_EQ(mapped->size_bytes(), small().bytes().size());
  EXPECT_EQ(mapped->fingerprint(), gguf_from(small().bytes())->fingerprint());
  std::filesystem::remove(path);
}

// --- Models in several files. ------------------------------------------------------------------

class SplitGguf : public ::testing::Test {
 protected:
  SplitGguf() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~SplitGguf() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path path(int number, int count = 3) const {
    char name[40];
    std::snprintf(name, sizeof name, "m-%05d-of-%05d.gguf", number, count);
    return folder_ / name;
  }
  static GgufWriter numbered(GgufWriter writer, int number, int count = 3) {
    return writer.u32("split.no", number - 1).u32("split.count", count);
  }
  static GgufWriter more(const std::string& tensor) {
    return GgufWriter().tensor(tensor, Type::f32, {16, 4}, kSixty);
  }
  static GgufWriter first() {
    GgufWriter writer = small();
    writer.u32("split.tensors.count", 4);
    return writer;
  }
  void write(const std::filesystem::path& to, const GgufWriter& writer) const {
    std::ofstream(to, std::ios::binary) << writer.bytes();
  }
  void write_all() const {
    write(path(1), numbered(first(), 1));
    write(path(2), numbered(more("blk.0.a"), 2));
    write(path(3), numbered(more("blk.1.a"), 3));
  }
  std::string problem(const std::filesystem::path& file) const {
    try {
      GgufFile::open(file);
    } catch (const ModelError& error) {
      return error.what();
    }
    return "no error";
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("corvid_split_test" + std::to_string(::getpid()));
};

TEST_F(SplitGguf, PartsAreOneModelWhicheverOfThemIsNamed) {
  write_all();
  for (int number : {1, 2, 3}) {
    const auto file = GgufFile::open(path(number));
    EXPECT_EQ(file->name(), path(1).string());
    EXPECT_EQ(file->integer("deepseek32.block_count"), 4);
    EXPECT_EQ(file->tensors().size(), 4u);
    const TensorView* last = file->tensor("blk.1.a");
    ASSERT_NE(last, nullptr);
    EXPECT_EQ(std::memcmp(last->data, kSixty.data(), 256), 0);
    EXPECT_EQ(file->size_bytes(), std::filesystem::file_size(path(1)) +
                                      std::filesystem::file_size(path(2)) +
                                      std::filesystem::file_size(path(3)));
  }
}

TEST_F(SplitGguf, TheFingerprintCoversEveryPart) {
  write_all();
  const std::string before = GgufFile::open(path(1))->fingerprint();
  write(path(3), numbered(more("blk.2.a"), 3));
  EXPECT_NE(GgufFile::open(path(1))->fingerprint(), before);
}

TEST_F(SplitGguf, AMissingPartIsNamed) {
  for (int number : {1, 2, 3}) {
    write_all();
    std::filesystem::remove(path(number));
    EXPECT_THAT(problem(path(number == 3 ? 1 : 3)),
                ::testing::AllOf(HasSubstr("part " + std::to_string(number) + " of 3 is missing"),
                                 HasSubstr(path(number).string())));
  }
}

TEST_F(SplitGguf, PartsThatDoNotBelongTogetherAreRefused) {
  write_all();
  write(path(2), numbered(more("blk.0.a"), 3));
  EXPECT_THAT(problem(path(1)), HasSubstr("should be part 2 of 3, but says that it is part 3 of"));
  write(path(2), numbered(more("blk.0.a"), 2, 4));
  EXPECT_THAT(problem(path(1)), HasSubstr("but says that it is part 2 of 4"));
  write(path(2), more("blk.0.a"));
  EXPECT_THAT(problem(path(1)), HasSubstr("should be part 2 of 3"));
  write(path(2), numbered(more("token_embd.weight"), 2));
  EXPECT_THAT(problem(path(1)), HasSubstr("'token_embd.weight' is in an earlier part"));
  write(path(2), numbered(GgufWriter(), 2));
  EXPECT_THAT(problem(path(1)), HasSubstr("3 tensors, but it says that there are 4"));
  std::ofstream(path(2)) << "not a model";
  EXPECT_THAT(problem(path(1)), HasSubstr(path(2).string()));
}

TEST_F(SplitGguf, APartWithAnotherNameIsRefused) {
  for (const char* name : {"m.gguf", "m-00001-of-00002.gguf", "m-00001-of-0000x.gguf"}) {
    write(folder_ / name, numbered(first(), 1));
    EXPECT_THAT(problem(folder_ / name), HasSubstr("one of 3 parts, but its name"));
  }
  EXPECT_THAT(problem_of(numbered(first(), 1)), HasSubstr("one of several parts"));
  EXPECT_THAT(problem_of(small().u32("split.count", 1 << 20)), HasSubstr("split.count"));
  EXPECT_THAT(problem_of(small().text("split.count", "3")), HasSubstr("split.count"));
}

// How much of a file's mapping is in this process's memory, in KiB.
long resident_kib(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  long kib = 0;
  while (std::getline(maps, line)) {
    if (line.find('-') < line.find(' ')) inside = line.find(path) != std::string::npos;
    if (inside && line.rfind("Rss:", 0) == 0) kib += std::stol(line.substr(4));
  }
  return kib;
}

TEST_F(SplitGguf, MemoryOfATensorThatWasReadIsGivenBack) {
  const std::vector<float> large(1 << 18, 0.5f);
  const auto to = folder_ / "large.gguf";
  write(to, GgufWriter().tensor("w", Type::f32, {1 << 18}, large));
  const auto file = GgufFile::open(to);
  const TensorView& w = *file->tensor("w");
  EXPECT_EQ(std::memcmp(w.data, large.data(), w.bytes), 0);
  EXPECT_GE(resident_kib(to.string()), 1024);
  file->let_go(w);
  EXPECT_LT(resident_kib(to.string()), 256);
  EXPECT_EQ(std::memcmp(w.data, large.data(), w.bytes), 0);  // and is read again when needed
}

TEST(Gguf, WhatIsNotARegularFileIsRefusedWithItsPath) {
  for (const char* path : {"/nowhere/model.gguf", "/", "/dev/null"}) {
    try {
      GgufFile::open(path);
      FAIL() << path;
    } catch (const ModelError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path));
    }
  }
}

TEST(Gguf, AFifoDoesNotHang) {
  const auto path = std::filesystem::temp_directory_path() / "corvid_gguf_test.fifo";
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROW(GgufFile::open(path), ModelError);
  std::filesystem::remove(path);
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string whole = small().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(gguf_from(whole.substr(0, size)), ModelError) << size;
  }
}

TEST(Gguf, EveryBrokenByteOfTheHeaderIsReadOrRefused) {
  const std::string whole = small().bytes();
  for (std::size_t at = 0; at < whole.size() - 320; ++at) {
    for (char flip : {'\x01', '\x40', '\x80', '\xFF'}) {
      std::string broken = whole;
      broken[at] ^= flip;
      try {
        const auto file = gguf_from(broken);
        for (const TensorView& view : file->tensors()) {
          EXPECT_LE(view.bytes, broken.size());
        }
      } catch (const ModelError&) {
      }
    }
  }
}

TEST(Gguf, OtherVersionsAndFilesAreRefused) {
  EXPECT_THAT(problem_of(small().bytes(1)), HasSubstr("version 1"));
  EXPECT_THAT(problem_of(small().bytes(0x03000000)), HasSubstr("little-endian"));
  EXPECT_THAT(problem_of("PK\x03\x04 something else"), HasSubstr("does not begin with GGUF"));
  EXPECT_EQ(problem_of(small().bytes(2)), "no error");
}

TEST(Gguf, AnUnsupportedTypeIsNamedWithItsTensor) {
  GgufWriter writer = small();
  writer.raw_tensor("blk.3.ffn_up_exps.weight", 19, {256}, std::string(50, 'x'));
  EXPECT_THAT(problem_of(writer), HasSubstr("'blk.3.ffn_up_exps.weight' has type 19 (IQ1_S)"));
  EXPECT_THAT(problem_of(small().raw_tensor("t", 99, {1}, "x")), HasSubstr("type 99 (unknown)"));
}

TEST(Gguf, ImpossibleShapesAreRefused) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {}, 0)), HasSubstr("0 dimensions"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {1, 1, 1, 1, 1}, 0)), HasSubstr("5 dim"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {0}, 0)), HasSubstr("impossible shape"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {-4}, 0)), HasSubstr("impossible shape"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {kHuge, 2}, 0)), HasSubstr("impossible shape"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {kHuge / 2}, 0)), HasSubstr("impossible"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 8, {33}, 0)), HasSubstr("whole blocks of Q8_0"));
}

TEST(Gguf, RowsOfQuantisedTypesAreWholeBlocksOrAreRefusedWithTheTensorsName) {
  int types = 0;
  for (std::uint32_t id = 0; id < kTypeIds; ++id) {
    const auto type = type_from_ggml(id);
    if (!type || !is_quantized(*type)) continue;
    ++types;
    const TypeTraits& t = traits(*type);
    const std::string name = "blk.1.ffn_down_exps.weight";
    const std::int64_t n = t.block_elements;
    const std::string block(t.block_bytes, 'x');
    EXPECT_EQ(problem_of(small().raw_tensor(name, id, {n, 2}, block + block)), "no error");
    for (std::int64_t columns : {n - 1, n / 2, n + 32 * (n > 32) + (n == 32), 3 * n / 2}) {
      const std::string problem =
          problem_of(small().raw_tensor(name, id, {columns, 2}, block + block + block));
      EXPECT_THAT(problem, HasSubstr("'" + name + "': rows of " + std::to_string(columns)));
      EXPECT_THAT(problem, HasSubstr("whole blocks of " + std::string(t.name)));
    }
    // More bytes than there are, and more than there can be.
    EXPECT_THAT(problem_of(small().raw_entry(name, id, {n, 1 << 20}, 0)), HasSubstr("beyond"));
    const std::int64_t most = std::numeric_limits<std::int64_t>::max() / n * n;
    EXPECT_THAT(problem_of(small().raw_entry(name, id, {most}, 0)), HasSubstr("'" + name + "'"));
    EXPECT_THAT(problem_of(small().raw_entry(name, id, {n, most / n, 8}, 0)),
                HasSubstr("impossible shape"));
  }
  EXPECT_EQ(types, 14);
}

TEST(Gguf, OffsetsOutsideTheFileOrUnalignedOrOverlappingAreRefused) {
  constexpr std::uint64_t kFar = std::numeric_limits<std::uint64_t>::max() - 31;
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {4}, 8)), HasSubstr("not aligned"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {4}, 32000)), HasSubstr("beyond the end"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {4}, kFar)), HasSubstr("beyond the end"));
  EXPECT_THAT(problem_of(small().raw_entry("t", 0, {4}, 32)), HasSubstr("overlap"));
}

TEST(Gguf, DuplicatesAreRefused) {
  EXPECT_THAT(problem_of(small().u32("flag", 1)), HasSubstr("'flag' is there twice"));
  EXPECT_THAT(problem_of(small().tensor("output_norm.weight", Type::f32, {16},
                                        std::span(kSixty).first(16))),
              HasSubstr("'output_norm.weight' is there twice"));
}

TEST(Gguf, LyingCountsAndLengthsAreRefused) {
  std::string many_tensors = small().bytes();
  many_tensors.replace(8, 8, std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 8));
  EXPECT_THAT(problem_of(many_tensors), HasSubstr("tensors"));
  std::string many_keys = small().bytes();
  many_keys.replace(16, 8, std::string("\xFF\xFF\xFF\0\0\0\0\0", 8));
  EXPECT_THAT(problem_of(many_keys), HasSubstr("keys"));

  std::string array;
  GgufWriter::put<std::uint32_t>(array, GgufWriter::kI32);
  GgufWriter::put<std::uint64_t>(array, 1ull << 62);
  EXPECT_THAT(problem_of(small().raw("a", GgufWriter::kArray, array)), HasSubstr("elements"));
  std::string text;
  GgufWriter::put<std::uint64_t>(text, 1ull << 62);
  EXPECT_THAT(problem_of(small().raw("a", GgufWriter::kString, text)), HasSubstr("key 'a'"));
  EXPECT_THAT(problem_of(small().u32(std::string(1000, 'k'), 1)), HasSubstr("1000 bytes"));
}

TEST(Gguf, UnknownValueTypesAndNestedArraysAreRefused) {
  EXPECT_THAT(problem_of(small().raw("a", 13, "xxxx")), HasSubstr("unknown value type 13"));
  std::string nested;
  GgufWriter::put<std::uint32_t>(nested, GgufWriter::kArray);
  GgufWriter::put<std::uint64_t>(nested, 1);
  EXPECT_THAT(problem_of(small().raw("a", GgufWriter::kArray, nested)), HasSubstr("arrays"));
  EXPECT_THAT(problem_of(small().raw("a", GgufWriter::kBool, "\x02")), HasSubstr("bool"));
  EXPECT_THAT(problem_of(small().raw("a", 10, std::string(8, '\xFF'))), HasSubstr("range"));
}

TEST(Gguf, AlignmentMustBeAPowerOfTwo) {
  for (std::uint32_t bad : {0u, 1u, 33u, 1u << 31}) {
    EXPECT_THAT(problem_of(small().u32("general.alignment", bad)), HasSubstr("alignment"));
  }
  EXPECT_THAT(problem_of(small().text("general.alignment", "32")), HasSubstr("alignment"));
}

TEST(Gguf, AWrongTypeAtReadingNamesTheKey) {
  const auto file = gguf_from(small().bytes());
  EXPECT_THROW(file->integer("general.architecture"), ModelError);
  EXPECT_THROW(file->integer("deepseek32.rope.freq_base"), ModelError);
  EXPECT_THROW(file->number("words"), ModelError);
  EXPECT_THROW(file->string("flag"), ModelError);
  EXPECT_THROW(file->strings("numbers"), ModelError);
  EXPECT_THROW(file->integers("flag"), ModelError);
}

TEST(Gguf, NamesFromTheFileAreHarmlessInMessages) {
  const std::string problem = problem_of(small().raw("a\x1B[2J", 13, "xxxx"));
  EXPECT_EQ(problem.find('\x1B'), std::string::npos);
}

TEST(Gguf, TheFingerprintTellsFilesApart) {
  const std::string first = gguf_from(small().bytes())->fingerprint();
  EXPECT_EQ(first.size(), 32u);
  EXPECT_NE(gguf_from(small().u32("more", 1).bytes())->fingerprint(), first);
  std::string weights = small().bytes();
  weights[weights.size() - 40] ^= 1;
  EXPECT_NE(gguf_from(weights)->fingerprint(), first);

  const std::vector<float> large(100000, 0.5f);
  std::vector<float> changed = large;
  changed[50000] = 1;
  const auto print = [](const std::vector<float>& values) {
    return gguf_from(GgufWriter().tensor("w", Type::f32, {1000, 100}, values).bytes())
        ->fingerprint();
  };
  EXPECT_NE(print(large), print(changed));
}

}  // namespace
}  // namespace corvid::model
