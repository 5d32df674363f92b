#include "runtime/json_line.h"

#include <nlohmann/json.hpp>

namespace corvid::runtime {

std::string json_line(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace corvid::runtime
