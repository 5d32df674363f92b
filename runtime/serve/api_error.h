// Why a request is not answered, in the words and the shape of the API that was asked.
//
// Thrown while a request is read, or made into an answer directly. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "runtime/error.h"
#include "runtime/serve/http.h"

namespace corvid::runtime {

class ApiError : public RuntimeError {
 public:
  ApiError(int status, const std::string& message, std::string field = {}, std::string code = {})
      : RuntimeError(message), status_(status), field_(std::move(field)), code_(std::move(code)) {}

  ApiError with(std::string header, std::string value) && {
    headers_.emplace_back(std::move(header), std::move(value));
    return std::move(*this);
  }

  int status() const { return status_; }
  const std::string& field() const { return field_; }      // of the request; mostly empty
  const std::string& code() const { return code_; }        // a word that clients know; mostly empty
  const HttpHeaders& headers() const { return headers_; }  // of the answer

 private:
  int status_;
  std::string field_, code_;
  HttpHeaders headers_;
};

// What is at `path` is for these methods only: "GET, HEAD".
ApiError wrong_method(const std::string& path, const std::string& methods);

enum class Dialect { openai, anthropic };
Dialect dialect_of(std::string_view path);

// {"error": ...} as clients of the dialect expect it.
std::string error_json(Dialect dialect, const ApiError& error);

}  // namespace corvid::runtime
