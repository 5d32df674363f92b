// The one exception of the tools room: a tool cannot be set up as asked (a bad schema, two tools of
// one name). What a model can cause is never an exception but a result.
#pragma once

#include <stdexcept>

namespace corvid::tools {

class ToolError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace corvid::tools
