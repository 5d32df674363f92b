// POST /v1/completions: OpenAI's API for a bare text that the model goes on with. No chat format,
// no tools. `ignore_eos` is taken as vLLM and llama-server take it. Any thread.
#pragma once

#include "runtime/serve/model_request.h"

namespace corvid::runtime {

// `model` is the name that answers carry. ModelError or ApiError that name the field.
ApiCall text_completion(const model::JsonField& body, const std::string& model);

}  // namespace corvid::runtime
