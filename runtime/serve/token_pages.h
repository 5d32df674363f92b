// POST /tokenize and /detokenize: what needs the vocabulary alone. Any thread; ModelError that
// names the field.
#pragma once

#include <string>

#include "model/text/json_field.h"
#include "model/text/tokenizer.h"

namespace corvid::runtime {

// {"content" (or "prompt"), "add_special", "with_pieces"} -> {"tokens", "count"}. Special tokens in
// the text are text.
std::string tokenize_page(const model::JsonField& body, const model::Tokenizer& tokenizer);
// {"tokens"} -> {"content"}.
std::string detokenize_page(const model::JsonField& body, const model::Tokenizer& tokenizer);

}  // namespace corvid::runtime
