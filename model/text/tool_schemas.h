// The tools of a conversation as their schemas describe them, for whoever writes or reads calls.
//
// Only names that can stand in a call without escaping are kept, and at most 64 parameters a tool,
// the required ones first. Immutable; any thread. The constructor throws ModelError when a schema
// is not JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"
#include "model/text/json_grammar.h"

namespace corvid::model {

struct ToolParameter {
  std::string name;
  std::uint16_t schema = 0;  // in ToolSchemas::json()
  bool required = false;
};

struct ToolSchema {
  std::string name;
  std::vector<ToolParameter> parameters;
  std::uint16_t arguments = 0;  // schema of all of them as one object
};

class ToolSchemas {
 public:
  // No JSON string will contain `forbidden`: see JsonGrammar.
  ToolSchemas(std::span<const ToolSpec> tools, std::string_view forbidden);

  const std::vector<ToolSchema>& tools() const { return tools_; }
  const JsonGrammar& json() const { return json_; }
  // The schema of a parameter; 0 (any value) when there is none such.
  std::uint16_t schema_of(std::string_view tool, std::string_view parameter) const;

 private:
  ToolSchema read(const ToolSpec& spec);

  JsonGrammar json_;
  std::vector<ToolSchema> tools_;
};

}  // namespace corvid::model
