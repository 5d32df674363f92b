// POST /v1/messages: Anthropic's API. Any thread.
//
// Text beside the results of a user message belongs to the last of them, as clients add their
// reminders there: it does not begin a new turn.
#pragma once

#include "runtime/serve/model_request.h"

namespace corvid::runtime {

// `model` is the name that answers carry. ModelError or ApiError that name the field.
ApiCall message_call(const model::JsonField& body, const std::string& model);

}  // namespace corvid::runtime
