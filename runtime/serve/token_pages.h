// POST /tokenize, /detokenize and /v1/messages/count_tokens: what needs the vocabulary, but not the
// network. Any thread; ModelError or ApiError that name the field.
#pragma once

#include <string>

#include "runtime/serve/model_service.h"

namespace corvid::runtime {

// {"content" (or "prompt"), "add_special", "with_pieces"} -> {"tokens", "count"}. Special tokens in
// the text are text.
std::string tokenize_page(const model::JsonField& body, const ModelService& service);
// {"tokens"} -> {"content"}.
std::string detokenize_page(const model::JsonField& body, const ModelService& service);
// A request to /v1/messages -> {"input_tokens"}.
std::string count_tokens_page(const model::JsonField& body, const ModelService& service);

}  // namespace corvid::runtime
