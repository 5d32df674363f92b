// Model files whose directory and keys do not fit together: each gets an error that names the
// tensor or the key, before anything is computed.
#include "model/net/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "model/compute/cpu/cpu_backend.h"
#include "model/error.h"
#include "tests/model/gguf_writer.h"
#include "tests/model/random_models.h"

namespace corvid::model::testing {
namespace {

using ::testing::HasSubstr;

std::string problem_of(const std::string& bytes) {
  try {
    const auto file = gguf_from(bytes);
    CpuBackend backend({.threads = 1, .precision = precision_of(*file)});
    load_weights(*file, read_config(*file), backend, {});
  } catch (const ModelError& error) {
    return error.what();
  }
  return "no problem";
}

class HostileModel : public ::testing::TestWithParam<const char*> {
 protected:
  std::string bytes = bytes_of(GetParam());
  std::shared_ptr<const GgufFile> file = gguf_from(bytes);
};

TEST_P(HostileModel, EveryMissingTensorIsNamed) {
  ASSERT_EQ(problem_of(bytes), "no problem");
  int named = 0;
  for (const TensorView& tensor : file->tensors()) {
    std::string without = bytes;
    without[place_of(bytes, tensor.name)] = '#';
    const std::string problem = problem_of(without);
    if (tensor.name == "output.weight" || tensor.name.ends_with("exp_probs_b.bias")) {
      EXPECT_EQ(problem, "no problem") << tensor.name;
    } else if (tensor.name.ends_with("attn_kv_b.weight")) {  // stands for two
      EXPECT_THAT(problem, HasSubstr("attn_k_b.weight' is missing"));
    } else {
      EXPECT_THAT(problem, HasSubstr("tensor '" + tensor.name + "' is missing"));
      ++named;
    }
  }
  EXPECT_GT(named, 20);
}

// Fewer rows fit the file, but not the model.
TEST_P(HostileModel, EveryTensorOfAnotherShapeIsNamed) {
  for (const TensorView& tensor : file->tensors()) {
    std::string other = bytes;
    const std::size_t dims = place_of(bytes, tensor.name) + tensor.name.size() + 4;
    const std::int64_t fewer = tensor.ne.back() - 1;
    std::memcpy(other.data() + dims + 8 * (tensor.ne.size() - 1), &fewer, sizeof fewer);
    EXPECT_THAT(problem_of(other), HasSubstr("'" + tensor.name + "'"));
  }
}

TEST_P(HostileModel, EveryKeyThatIsMissingOrAbsurdIsNamed) {
  const std::string prefix = read_config(*file).architecture + ".";
  for (const char* key :
       {"block_count", "context_length", "embedding_length", "attention.head_count",
        "attention.kv_lora_rank", "attention.layer_norm_rms_epsilon", "rope.dimension_count",
        "rope.freq_base", "expert_count", "expert_used_count", "expert_feed_forward_length",
        "feed_forward_length"}) {
    const std::string name = prefix + key;
    std::string without = bytes;
    without[place_of(bytes, name) + prefix.size()] = '#';
    EXPECT_THAT(problem_of(without), HasSubstr("key '" + name + "' is missing"));
    // As a float: nothing, 1.7e38, and no number.
    for (const std::uint32_t value : {0u, 0x7F000000u, 0xFFFFFFFFu}) {
      std::string absurd = bytes;
      set_u32(absurd, name, value);
      EXPECT_THAT(problem_of(absurd), HasSubstr("key '" + name + "'")) << value;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, HostileModel,
                         ::testing::Values("tiny-q2_k", "logits-deepseek2-old"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace corvid::model::testing
