// The check of a call's arguments against its tool's JSON Schema (draft 7, local references only).
//
// Made once per tool; ToolError when the schema itself is unusable. `pattern`, `patternProperties`
// and `format` are not checked: their regular expressions come from strangers. Immutable.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace corvid::tools {

inline constexpr std::size_t kMaxArgumentBytes = 4 << 20;
inline constexpr int kMaxJsonDepth = 64;

// Deepest nesting of arrays and objects in a JSON text, without parsing it.
int json_depth(std::string_view text);

class ArgumentSchema {
 public:
  explicit ArgumentSchema(std::string_view schema);
  ~ArgumentSchema();
  ArgumentSchema(ArgumentSchema&&) noexcept;
  ArgumentSchema& operator=(ArgumentSchema&&) noexcept;

  // What is wrong with the arguments (any text), in words from which a model can correct itself:
  // what is missing, unknown or of the wrong type, and what the arguments are.
  std::optional<std::string> problem(std::string_view arguments) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::tools
