// POST /v1/chat/completions: OpenAI's chat API with the fields that DeepSeek and llama-server added
// (reasoning_content, thinking, chat_template_kwargs). Any thread.
#pragma once

#include "runtime/serve/model_request.h"

namespace corvid::runtime {

// `model` is the name that answers carry. ModelError or ApiError that name the field.
ApiCall chat_completion(const model::JsonField& body, const std::string& model);

}  // namespace corvid::runtime
