// JSON on one line, as output and journal have it. Text of a model or tool is valid UTF-8 by
// contract; should some not be, its bytes become U+FFFD and the line comes all the same. Any
// thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace corvid::runtime {

std::string json_line(const nlohmann::ordered_json& json);

}  // namespace corvid::runtime
