// URLs of remote models and the dialects behind them.
#include "runtime/remote_endpoint.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/error.h"

namespace corvid::runtime {
namespace {

TEST(RemoteEndpoint, ReadsUrls) {
  EXPECT_EQ(parse_endpoint("https://API.deepseek.com").base, "https://API.deepseek.com/v1");
  EXPECT_EQ(parse_endpoint("https://API.deepseek.com").host, "api.deepseek.com");
  EXPECT_EQ(parse_endpoint("http://h:8000/v1/").base, "http://h:8000/v1");
  EXPECT_EQ(parse_endpoint("http://h/api/v3/chat/completions").base, "http://h/api/v3");
  const Endpoint named = parse_endpoint("http://127.0.0.1:1/v1#org/model:7b");
  EXPECT_EQ(named.model, "org/model:7b");
  EXPECT_EQ(named.base, "http://127.0.0.1:1/v1");
  EXPECT_TRUE(named.is_loopback);
  EXPECT_FALSE(parse_endpoint("http://example.org").is_loopback);
  EXPECT_FALSE(parse_endpoint("http://127.evil.example:80/v1").is_loopback);
  EXPECT_FALSE(parse_endpoint("http://[::1].evil.example/v1").is_loopback);
}

TEST(RemoteEndpoint, RefusesUrlsThatWouldNotWork) {
  for (const char* url : {"ftp://h/v1", "http://", "http://user:pass@h/v1", "http://h/v1?key=1",
                          "http://h /v1", "http:///v1", "model.gguf"}) {
    try {
      parse_endpoint(url);
      ADD_FAILURE() << url;
    } catch (const RuntimeError& refused) {
      EXPECT_EQ(refused.code(), kUsage);
      EXPECT_EQ(std::string(refused.what()).find("pass"), std::string::npos);
    }
  }
}

TEST(RemoteEndpoint, TellsDialectsApart) {
  EXPECT_EQ(guess_dialect(parse_endpoint("https://api.deepseek.com/v1")), Dialect::deepseek);
  EXPECT_EQ(guess_dialect(parse_endpoint("http://box:11434/v1")), Dialect::ollama);
  EXPECT_EQ(guess_dialect(parse_endpoint("http://box:8000/v1")), Dialect::generic);
  EXPECT_EQ(dialect_of_marks("llama.cpp", ""), Dialect::llama_server);
  EXPECT_EQ(dialect_of_marks("uvicorn", "fp_ollama"), Dialect::ollama);
  EXPECT_EQ(dialect_of_marks("uvicorn", ""), std::nullopt);
  EXPECT_EQ(parse_model_list(R"({"data":[{"id":"a","owned_by":"sglang"}]})").dialect,
            Dialect::sglang);
  EXPECT_EQ(dialect_named("vllm"), Dialect::vllm);
  EXPECT_EQ(dialect_named("nope"), std::nullopt);
}

TEST(RemoteEndpoint, AHostileModelListIsAnEmptyOne) {
  for (const char* body : {"", "[]", "{", R"({"data":3})", R"({"data":[3,{"id":4},null]})"}) {
    EXPECT_TRUE(parse_model_list(body).names.empty()) << body;
  }
}

TEST(RemoteEndpoint, DialectFieldsAreJson) {
  for (const Dialect dialect : {Dialect::generic, Dialect::deepseek, Dialect::vllm, Dialect::sglang,
                                Dialect::llama_server, Dialect::ollama}) {
    for (const auto thinking : {model::Thinking::on, model::Thinking::off}) {
      const std::string text = "{\"a\":1" + dialect_fields(dialect, thinking) + "}";
      EXPECT_TRUE(nlohmann::json::accept(text)) << text;
    }
  }
}

TEST(RemoteEndpoint, V32DropsReasoningAndUnknownModelsKeepIt) {
  EXPECT_EQ(reasoning_rule_of("deepseek-ai/DeepSeek-V3.2"), model::ReasoningRule::turn);
  EXPECT_EQ(reasoning_rule_of("deepseek-chat"), model::ReasoningRule::always);
  EXPECT_EQ(reasoning_rule_of("kimi-k2"), model::ReasoningRule::always);
  EXPECT_EQ(reasoning_rule_of(""), model::ReasoningRule::always);
}

}  // namespace
}  // namespace corvid::runtime
