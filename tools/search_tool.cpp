#include <nlohmann/json.hpp>

#include "sandbox/offload.h"
#include "tools/builtin.h"
#include "tools/search.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

class SearchTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  bool read_only() const override { return true; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolSpec spec_ = spec_from_text("search",
#include "tools/search.md.inc"
  );
};

std::string plural(std::size_t n, const std::string& noun) {
  const std::string ending = noun.ends_with("h") ? "es" : "s";
  return std::to_string(n) + " " + noun + (n == 1 ? "" : ending);
}

std::string text_of(const SearchOutcome& outcome, const SearchRequest& request,
                    std::size_t budget_bytes) {
  std::string text;
  std::size_t shown = 0;
  for (const SearchHit& hit : outcome.hits) {
    std::string line = visible_name(hit.path);
    if (hit.line > 0) line += ":" + std::to_string(hit.line) + ":" + escape_invalid(hit.text);
    if (text.size() + line.size() + 400 > budget_bytes) break;
    text += line + "\n";
    ++shown;
  }
  const bool listing = request.pattern.empty();
  text += "[" + plural(outcome.hits.size(), listing ? "file" : "match");
  if (!listing) text += " in " + plural(outcome.files, "file") + " looked at";
  if (shown < outcome.hits.size()) text += ", the first " + std::to_string(shown) + " shown";
  text += ".";
  for (const std::string& note : outcome.notes) text += " " + note;
  return text + "]";
}

asio::awaitable<ToolResult> SearchTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  SearchRequest request;
  request.pattern = arguments.value("pattern", "");
  request.path = arguments.value("path", "");
  request.glob = arguments.value("glob", "");
  if (request.pattern.empty()) request.max_hits = 1000;
  auto work = [&files = context.files, request](std::stop_token stop) {
    return search_files(files, request, std::move(stop));
  };
  const auto outcome = co_await sandbox::offload(context.pool, std::move(work));
  if (const auto* error = std::get_if<std::string>(&outcome)) co_return error_result(call, *error);
  const auto& found = std::get<SearchOutcome>(outcome);
  co_return ToolResult{call.id, text_of(found, request, context.result_budget_bytes), false};
}

}  // namespace

std::unique_ptr<Tool> make_search_tool() {
  return std::make_unique<SearchTool>();
}

}  // namespace corvid::tools
