#include "plugins/mcp_trust.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "plugins/error.h"
#include "tools/text.h"

namespace corvid::plugins {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::size_t kMaxShownBytes = 8000;

ordered_json read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return ordered_json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
}

bool is_same(const McpTool& one, const McpTool& other) {
  return one.description == other.description && one.schema == other.schema;
}

const McpTool* find(const std::vector<McpTool>& tools, const std::string& name) {
  const auto found = std::find_if(tools.begin(), tools.end(),
                                  [&](const McpTool& tool) { return tool.name == name; });
  return found == tools.end() ? nullptr : &*found;
}

void add_names(std::string& text, const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  text += (text.empty() ? "" : "; ") + std::string(what) + ": ";
  for (const std::string& name : names) text += (&name == &names.front() ? "" : ", ") + name;
}

std::vector<std::string> names_of(const std::vector<McpTool>& tools) {
  std::vector<std::string> names;
  for (const McpTool& tool : tools) names.push_back(tool.name);
  return names;
}

}  // namespace

std::string McpToolChanges::names() const {
  std::string text;
  add_names(text, "new", names_of(fresh));
  add_names(text, "changed", names_of(changed));
  add_names(text, "gone", gone);
  return text;
}

std::string McpToolChanges::in_full() const {
  std::string text = names();
  for (const auto* list : {&fresh, &changed}) {
    for (const McpTool& tool : *list) {
      text += "\n" + tool.name + ": " + tool.description + "\n  takes " + tool.schema;
    }
  }
  if (text.size() <= kMaxShownBytes) return text;
  return std::string(tools::utf8_prefix(text, kMaxShownBytes)) + "\n[and more]";
}

McpTrust::McpTrust(fs::path file, std::string entry)
    : file_(std::move(file)), entry_(std::move(entry)) {
  if (file_.empty()) return;
  const ordered_json kept = read(file_);
  if (!kept.is_object() || kept.value("entry", ordered_json()) != entry_) return;
  agreed_ = kept.value("agreed", ordered_json()) == true;
  const ordered_json tools = kept.value("tools", ordered_json());
  if (tools.is_array()) tools_ = read_tool_page({{"tools", tools}}).tools;
}

void McpTrust::agree() {
  agreed_ = true;
  save();
}

void McpTrust::renew() {
  tools_.reset();
  agree();
}

McpToolChanges McpTrust::changes(const std::vector<McpTool>& tools) const {
  McpToolChanges changes;
  if (!tools_) return changes;
  for (const McpTool& tool : tools) {
    const McpTool* known = find(*tools_, tool.name);
    if (!known) changes.fresh.push_back(tool);
    if (known && !is_same(*known, tool)) changes.changed.push_back(tool);
  }
  for (const McpTool& tool : *tools_) {
    if (!find(tools, tool.name)) changes.gone.push_back(tool.name);
  }
  return changes;
}

void McpTrust::know(const std::vector<McpTool>& tools) {
  if (tools_ && changes(tools).empty()) return;
  tools_ = tools;
  save();
}

void McpTrust::save() const {
  if (file_.empty()) return;
  ordered_json kept = {{"entry", entry_}, {"agreed", agreed_}};
  if (tools_) {
    kept["tools"] = ordered_json::array();
    for (const McpTool& tool : *tools_) {
      kept["tools"].push_back({{"name", tool.name},
                               {"description", tool.description},
                               {"inputSchema", ordered_json::parse(tool.schema)}});
    }
  }
  std::error_code error;
  fs::create_directories(file_.parent_path(), error);
  const fs::path fresh = file_.string() + ".new";
  std::ofstream out(fresh, std::ios::binary);
  fs::permissions(fresh, fs::perms::owner_read | fs::perms::owner_write, error);
  out << kept.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  out.close();
  if (out) fs::rename(fresh, file_, error);
  if (!out || error) throw PluginError("what you agreed to cannot be kept in " + file_.string());
}

}  // namespace corvid::plugins
