// What a request to /v1/responses says, for responses.cpp alone. Any thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/serve/model_request.h"

namespace corvid::runtime {

// How a tool is called in the client's own words, by the name that the model knows it by.
struct ClientTool {
  std::string name, name_space;
  bool custom = false;  // its one argument is a text
};
using ClientTools = std::map<std::string, ClientTool>;

struct ResponsesRequest {
  ModelRequest request;
  ClientTools tools;
  bool wants_encrypted_reasoning = false;
  nlohmann::ordered_json echo;  // the fields that the answer repeats
};

ResponsesRequest read_responses_request(const model::JsonField& body);

}  // namespace corvid::runtime
