// Bytes and operations of a back end since it was made, counted where they are read and done.
#pragma once

#include <cstdint>

namespace corvid::model {

struct Traffic {
  std::int64_t weight_bytes = 0;
  std::int64_t cache_bytes = 0;
  std::int64_t operations = 0;  // a multiplication and an addition are two
};

}  // namespace corvid::model
