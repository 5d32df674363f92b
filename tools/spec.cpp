#include "tools/spec.h"

#include <nlohmann/json.hpp>

#include "tools/error.h"

namespace corvid::tools {

model::ToolSpec spec_from_text(std::string name, std::string_view text) {
  constexpr std::string_view kOpen = "\n```json\n", kClose = "\n```";
  const std::size_t open = text.find(kOpen);
  const std::size_t close = open == text.npos ? open : text.find(kClose, open + kOpen.size() - 1);
  if (close == text.npos) throw ToolError("the text of tool " + name + " has no ```json block");
  std::string_view description = text.substr(0, open);
  description = description.substr(0, description.find_last_not_of(" \n") + 1);
  const std::string_view schema = text.substr(open + kOpen.size(), close - open - kOpen.size());
  std::string parameters = nlohmann::ordered_json::parse(schema).dump();
  return {std::move(name), std::string(description), std::move(parameters)};
}

}  // namespace corvid::tools
