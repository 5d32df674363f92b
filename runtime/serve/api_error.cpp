#include "runtime/serve/api_error.h"

#include <nlohmann/json.hpp>

#include "runtime/json_line.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;

std::string_view openai_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "unavailable_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string_view anthropic_type(int status) {
  switch (status) {
    case 401:
    case 403:
    case 404:
    case 429:
      return openai_type(status);
    case 413:
      return "request_too_large";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

ApiError wrong_method(const std::string& path, const std::string& methods) {
  return ApiError(405, path + " is for " + methods).with("Allow", methods);
}

Dialect dialect_of(std::string_view path) {
  return path.starts_with("/v1/messages") ? Dialect::anthropic : Dialect::openai;
}

std::string error_json(Dialect dialect, const ApiError& error) {
  if (dialect == Dialect::anthropic) {
    return json_line(
        {{"type", "error"},
         {"error", {{"type", anthropic_type(error.status())}, {"message", error.what()}}}});
  }
  Json body{{"message", error.what()}, {"type", openai_type(error.status())}};
  body["param"] = error.field().empty() ? Json() : Json(error.field());
  body["code"] = error.code().empty() ? Json() : Json(error.code());
  return json_line({{"error", std::move(body)}});
}

}  // namespace corvid::runtime
