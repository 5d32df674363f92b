// The one exception of the model room: cannot do what was asked (bad file, wrong shape, no memory).
// The message says what, where and what to do about it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace corvid::model {

class ModelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  // `field` of a JSON input is at fault; the message names it.
  ModelError(const std::string& message, std::string field)
      : std::runtime_error(message), field_(std::move(field)) {}

  const std::string& field() const { return field_; }  // "messages[2].role"; mostly empty

 private:
  std::string field_;
};

}  // namespace corvid::model
