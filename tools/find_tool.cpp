#include <nlohmann/json.hpp>

#include "sandbox/offload.h"
#include "tools/builtin.h"
#include "tools/search.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

constexpr int kMostFiles = 1000;       // listed
constexpr int kMostNames = 1'000'000;  // looked at

class FindTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  bool read_only() const override { return true; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolSpec spec_ = spec_from_text("find",
#include "tools/find.md.inc"
  );
};

std::string text_for_model(const SearchOutcome& outcome, const std::string& glob,
                           std::size_t budget_bytes) {
  if (!outcome.hits.empty()) {
    return text_of(outcome, plural(outcome.hits.size(), "file"), budget_bytes);
  }
  std::string none = "no file fits " + visible_name(utf8_prefix(glob, 200)) + "; " +
                     plural(outcome.files, "file") + " looked at";
  if (outcome.ignored > 0) {
    none += ", " + plural(outcome.ignored, "name") + " left out by .gitignore";
  }
  return text_of(outcome, none, budget_bytes);
}

asio::awaitable<ToolResult> FindTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  SearchRequest request;
  request.glob = arguments.at("glob");
  request.path = arguments.value("path", "");
  request.max_hits = kMostFiles;
  request.max_files = kMostNames;
  auto work = [&files = context.files, request](std::stop_token stop) mutable {
    request.path = meant_path(files, request.path);
    return search_files(files, request, std::move(stop));
  };
  const auto outcome = co_await sandbox::offload(context.pool, std::move(work));
  if (const auto* error = std::get_if<std::string>(&outcome)) co_return error_result(call, *error);
  const auto& found = std::get<SearchOutcome>(outcome);
  std::string text = text_for_model(found, request.glob, context.result_budget_bytes);
  co_return ToolResult{call.id, std::move(text), false};
}

}  // namespace

std::unique_ptr<Tool> make_find_tool() {
  return std::make_unique<FindTool>();
}

}  // namespace corvid::tools
