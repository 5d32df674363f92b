// corvid bench and corvid logits as programs: what they report, and how they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/model/gguf_writer.h"
#include "tests/runtime/program.h"

namespace corvid {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

std::string model_file(const std::string& name) {
  return std::string(CORVID_TEST_MODELS) + "/" + name + ".gguf";
}

// The model has 3 layers, uses all of its experts and chooses 16 tokens; see make_models.py.
TEST(BenchCommand, JsonHasARunForEveryDepthAndTheLimits) {
  const std::string file = model_file("tiny-sparse");
  const Outcome bench = corvid(
      "bench --backend cpu --threads 1 --prompt 10 --generate 4 --depth 0,100 --repeats 2 "
      "--json --model " +
      file);
  ASSERT_EQ(bench.code, 0) << bench.output;
  const Json report = Json::parse(bench.output);
  EXPECT_THAT(report["model"].get<std::string>(), HasSubstr("deepseek32 6.1M, q8_0, "));
  EXPECT_EQ(report["prompt"], 10);
  EXPECT_EQ(report["generate"], 4);
  const auto file_bytes = static_cast<double>(std::filesystem::file_size(file));
  EXPECT_GT(report["read_bytes_per_second"].get<double>(), 0);
  EXPECT_GT(report["gemm_operations_per_second"].get<double>(), 0);
  EXPECT_GT(report["peak_rss_bytes"].get<double>(), file_bytes);

  ASSERT_EQ(report["runs"].size(), 2u);
  for (const Json& run : report["runs"]) {
    EXPECT_GT(run["prefill_tokens_per_second"].get<double>(), 0);
    EXPECT_GT(run["decode_tokens_per_second"].get<double>(), 0);
    // All there is but the embedding, of which it is one row.
    const double weights = run["decode_weight_bytes_per_token"].get<double>();
    EXPECT_NEAR(weights, file_bytes - 512 * 256 / 32 * 34, 0.01 * file_bytes);
    EXPECT_GT(run["prefill_operations_per_token"].get<double>(), weights);
  }
  // A latent has (128 + 32) halves. Tokens 11 to 14 read all before them while these are at most
  // 16, and score nothing; later ones read 16, and score two pages of keys of 64 bytes.
  constexpr double kLayers = 3, kLatent = 2 * (128 + 32), kPage = 64 * 64;
  const Json &near = report["runs"][0], &far = report["runs"][1];
  EXPECT_EQ(near["depth"], 0);
  EXPECT_EQ(near["decode_cache_bytes_per_token"], kLayers * kLatent * (12 + 13 + 14 + 15) / 4);
  EXPECT_EQ(far["depth"], 100);
  EXPECT_EQ(far["decode_cache_bytes_per_token"], kLayers * (kLatent * 16 + 2 * kPage));
  EXPECT_GE(far["kv_bytes"].get<double>(), 115 * kLayers * (kLatent + 64 + 4));
}

TEST(BenchCommand, JsonHasTheCountsThatAreAskedFor) {
  const Outcome bench = corvid(
      "bench --backend cpu --threads 1 --prompt 2 --generate 1 --repeats 1 --count --json "
      "--model " +
      model_file("tiny-q8_0"));
  ASSERT_EQ(bench.code, 0) << bench.output;
  const Json run = Json::parse(bench.output)["runs"][0];
  EXPECT_EQ(run["counts"]["dispatches"], 0);  // of a GPU
  EXPECT_EQ(run["counts"]["weight_bytes"], run["decode_weight_bytes_per_token"]);
}

TEST(BenchCommand, TheTableSaysTheSame) {
  const Outcome bench = corvid(
      "bench --threads 1 --prompt 8 --generate 2 --depth 3 --repeats 1 --backend cpu "
      "--model " +
      model_file("tiny-q8_0"));
  EXPECT_EQ(bench.code, 0);
  for (const char* words : {"peak memory", "limits: reads", "int8 GEMM", "prefill/s", "decode/s",
                            "read/token", "of reads", "work/token", "of GEMM"}) {
    EXPECT_THAT(bench.output, HasSubstr(words));
  }
}

TEST(BenchCommand, RefusesWhatItCannotMeasure) {
  const std::string bench = "bench --model " + model_file("tiny-q8_0");
  EXPECT_EQ(corvid(bench + " --count --generate 0").code, 2);
  for (const char* wrong : {" --depth=-5", " --generate=-1", " --repeats 0", " --prompt 0",
                            " --contexts 0", " --threads=-1"}) {
    const Outcome refused = corvid(bench + wrong);
    EXPECT_EQ(refused.code, 2) << wrong;
    EXPECT_THAT(refused.output, HasSubstr("not in range")) << wrong;
  }
  EXPECT_EQ(corvid(bench + " --backend abacus").code, 3);
  EXPECT_EQ(corvid(bench + " --kernels abacus").code, 3);
}

// Raw f32, as many values as tokens times the vocabulary.
TEST(LogitsCommand, WritesTheLogitsOfTheReference) {
  const ScratchFolder folder;
  for (const char* name : {"logits-deepseek32", "logits-deepseek2-lite"}) {
    std::ifstream in(std::string(CORVID_SOURCE_DIR) + "/tests/vectors/" + name + ".json");
    const Json vector = Json::parse(in);
    const auto ids = vector["ids"].get<std::vector<int>>();
    std::string text;
    for (int id : ids) text += std::to_string(id) + "\n";
    folder.put("ids", text);
    const Outcome logits =
        corvid("logits --backend cpu --chunk 64 --tokens " + (folder / "ids").string() + " --out " +
               (folder / "out").string() + " --model " + model_file(name));
    ASSERT_EQ(logits.code, 0) << logits.output;
    const std::string bytes = folder.get("out");
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    const std::size_t vocab = values.size() / ids.size();
    double largest = 0;
    for (const auto& [row, wanted] : vector["logits"].items()) {
      ASSERT_EQ(wanted.size(), vocab);
      for (std::size_t i = 0; i < vocab; ++i) {
        const double got = values[std::stoul(row) * vocab + i];
        largest = std::max(largest, std::fabs(got - wanted[i].get<double>()));
      }
    }
    EXPECT_LT(largest, 1e-4) << name;
  }
}

TEST(LogitsCommand, AnUnsupportedTypeIsNamedWithItsTensor) {
  const ScratchFolder folder;
  model::testing::GgufWriter writer;
  writer.text("general.architecture", "deepseek2");
  writer.raw_tensor("blk.3.ffn_up_exps.weight", 19, {256}, std::string(50, 'x'));
  folder.put("iq1.gguf", writer.bytes());
  const std::string model = (folder / "iq1.gguf").string();
  for (const std::string& command : {"bench --model " + model, "tokenize --model " + model,
                                     "run --backend cpu --model " + model + " hello"}) {
    const Outcome refused = corvid(command);
    EXPECT_EQ(refused.code, 3) << command;
    EXPECT_THAT(refused.output, HasSubstr("'blk.3.ffn_up_exps.weight' has type 19 (IQ1_S)"));
  }
}

}  // namespace
}  // namespace corvid
