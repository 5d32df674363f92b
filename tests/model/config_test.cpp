// What the keys of a file come to, where files differ in what they say.
#include "model/net/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "model/error.h"
#include "tests/model/gguf_writer.h"

namespace corvid::model {
namespace {

// The keys of GLM-4.7-Flash, as its converter writes them.
testing::GgufWriter glm_flash() {
  testing::GgufWriter writer;
  const std::string p = "deepseek2.";
  writer.text("general.architecture", "deepseek2");
  const std::pair<const char*, std::uint32_t> numbers[] = {
      {"block_count", 48},
      {"nextn_predict_layers", 1},
      {"context_length", 202752},
      {"embedding_length", 2048},
      {"feed_forward_length", 10240},
      {"leading_dense_block_count", 1},
      {"vocab_size", 154880},
      {"attention.head_count", 20},
      {"attention.head_count_kv", 1},
      {"attention.q_lora_rank", 768},
      {"attention.kv_lora_rank", 512},
      {"attention.key_length", 576},
      {"attention.value_length", 512},
      {"attention.key_length_mla", 256},
      {"attention.value_length_mla", 256},
      {"rope.dimension_count", 64},
      {"expert_count", 64},
      {"expert_used_count", 4},
      {"expert_shared_count", 1},
      {"expert_feed_forward_length", 1536},
      {"expert_group_count", 1},
      {"expert_group_used_count", 1},
  };
  for (const auto& [key, value] : numbers) writer.u32(p + key, value);
  writer.f32(p + "attention.layer_norm_rms_epsilon", 1e-5F).f32(p + "rope.freq_base", 1e6F);
  writer.f32(p + "expert_weights_scale", 1.8F).boolean(p + "expert_weights_norm", true);
  return writer;
}

TEST(Config, GlmFlashHasSigmoidGatesThoughItsFilesDoNotSaySo) {
  const Config c = read_config(*testing::gguf_from(glm_flash().bytes()));
  EXPECT_EQ(c.gating, Gating::sigmoid);
  EXPECT_EQ(c.layers, 47);
  EXPECT_EQ(c.nope, 192);
  EXPECT_EQ(c.value, 256);
  EXPECT_FLOAT_EQ(c.eps, 1e-5F);
  EXPECT_FALSE(c.has_yarn);
  EXPECT_FLOAT_EQ(c.attention_scale(), 0.0625F);
  EXPECT_FLOAT_EQ(c.weights_scale, 1.8F);
  EXPECT_TRUE(c.normalise_weights);
}

TEST(Config, WhatEarlyFilesOfGlmFlashSayOfItsGatesIsWrong) {
  testing::GgufWriter writer = glm_flash();
  writer.u32("deepseek2.expert_gating_func", 1);
  EXPECT_EQ(read_config(*testing::gguf_from(writer.bytes())).gating, Gating::sigmoid);
}

// DeepSeek's older models have groups of experts; their older files do not say so.
TEST(Config, OldFilesHaveTheGroupsOfTheirModels) {
  std::string bytes = glm_flash().bytes();
  for (const char* key : {"expert_group_count", "expert_group_used_count"}) {
    bytes[testing::place_of(bytes, std::string("deepseek2.") + key) + 10] = '#';
  }
  struct Case {
    std::uint32_t experts;
    int groups, used;
  };
  for (const auto& [experts, groups, used] :
       {Case{256, 8, 4}, {160, 8, 3}, {64, 1, 1}, {384, 1, 1}}) {
    testing::set_u32(bytes, "deepseek2.expert_count", experts);
    const Config c = read_config(*testing::gguf_from(bytes));
    EXPECT_EQ(c.expert_groups, groups) << experts;
    EXPECT_EQ(c.expert_groups_used, used) << experts;
  }
}

// What a key may mean ends before what its type can hold.
TEST(Config, NumbersThatNothingCanMeanAreRefusedByName) {
  const auto problem = [](const std::string& key, float value) -> std::string {
    testing::GgufWriter writer = glm_flash();
    writer.text("deepseek2.rope.scaling.type", "yarn");
    if (!key.ends_with(".factor")) writer.f32("deepseek2.rope.scaling.factor", 40);
    if (!key.ends_with("context_length")) {
      writer.f32("deepseek2.rope.scaling.original_context_length", 4096);
    }
    writer.f32("deepseek2." + key, value);
    try {
      read_config(*testing::gguf_from(writer.bytes()));
    } catch (const ModelError& error) {
      return error.what();
    }
    return "no problem";
  };
  for (const char* key : {"factor", "original_context_length", "yarn_beta_fast", "yarn_beta_slow",
                          "yarn_log_multiplier"}) {
    const std::string name = std::string("rope.scaling.") + key;
    EXPECT_EQ(problem(name, 8), "no problem");
    for (const float absurd : {-1.0F, 1e38F, std::numeric_limits<float>::quiet_NaN()}) {
      EXPECT_THAT(problem(name, absurd), ::testing::HasSubstr("key 'deepseek2." + name + "' is"));
    }
  }
}

}  // namespace
}  // namespace corvid::model
