// A key or a token: goes into a request and nowhere else. Nothing prints a Secret; texts from
// outside pass redacted() before anyone sees them. Any thread.
#pragma once

#include <string>

namespace corvid::plugins {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  bool empty() const { return value_.empty(); }
  // For the request's header only.
  const std::string& reveal() const { return value_; }
  // `text` with every occurrence of the key replaced.
  std::string redacted(std::string text) const;

 private:
  std::string value_;
};

}  // namespace corvid::plugins
