// The one exception of the model room: cannot do what was asked (bad file, wrong shape, no memory).
// The message says what, where and what to do about it.
#pragma once

#include <stdexcept>

namespace corvid::model {

class ModelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace corvid::model
