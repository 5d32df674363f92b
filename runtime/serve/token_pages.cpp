#include "runtime/serve/token_pages.h"

#include <nlohmann/json.hpp>

#include "runtime/json_line.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::JsonField;

}  // namespace

std::string tokenize_page(const JsonField& body, const model::Tokenizer& tokenizer) {
  const auto content = body.find("content");
  std::vector<model::Token> tokens =
      tokenizer.encode(content ? content->text() : body.at("prompt").text());
  if (body.boolean_or("add_special", false) && tokenizer.bos() >= 0) {
    tokens.insert(tokens.begin(), tokenizer.bos());
  }
  Json answer{{"tokens", tokens}, {"count", tokens.size()}};
  if (body.boolean_or("with_pieces", false)) {
    answer["tokens"] = Json::array();
    for (const model::Token token : tokens) {
      answer["tokens"].push_back({{"id", token}, {"piece", tokenizer.bytes(token)}});
    }
  }
  return json_line(answer);
}

std::string detokenize_page(const JsonField& body, const model::Tokenizer& tokenizer) {
  std::vector<model::Token> tokens;
  for (const JsonField& token : body.at("tokens").items()) {
    tokens.push_back(static_cast<model::Token>(token.integer(0, tokenizer.vocab_size() - 1)));
  }
  return json_line({{"content", tokenizer.decode(tokens)}});
}

}  // namespace corvid::runtime
