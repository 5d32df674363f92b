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

std::string text_for_model(const SearchOutcome& outcome, std::size_t budget_bytes) {
  const std::string files = plural(outcome.files, "file") + " looked at";
  return text_of(outcome, plural(outcome.hits.size(), "match") + " in " + files, budget_bytes);
}

asio::awaitable<ToolResult> SearchTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  SearchRequest request;
  request.pattern = arguments.at("pattern");
  request.path = arguments.value("path", "");
  request.glob = arguments.value("glob", "");
  if (request.pattern.empty())
    co_return error_result(call, "`pattern` is empty; find lists files.");
  auto work = [&files = context.files, request](std::stop_token stop) mutable {
    request.path = meant_path(files, request.path);
    return search_files(files, request, std::move(stop));
  };
  const auto outcome = co_await sandbox::offload(context.pool, std::move(work));
  if (const auto* error = std::get_if<std::string>(&outcome)) co_return error_result(call, *error);
  const auto& found = std::get<SearchOutcome>(outcome);
  co_return ToolResult{call.id, text_for_model(found, context.result_budget_bytes), false};
}

}  // namespace

std::unique_ptr<Tool> make_search_tool() {
  return std::make_unique<SearchTool>();
}

}  // namespace corvid::tools
