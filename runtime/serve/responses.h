// POST /v1/responses: OpenAI's Responses API, without state: the client sends the whole history.
//
// Tools of a namespace are offered as NAMESPACE.NAME, custom tools as ones with one text; calls go
// back in the client's own shape. Any thread.
#pragma once

#include "runtime/serve/model_request.h"

namespace corvid::runtime {

// `model` is the name that answers carry. ModelError or ApiError that name the field.
ApiCall response_call(const model::JsonField& body, const std::string& model);

}  // namespace corvid::runtime
