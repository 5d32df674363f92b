#include <nlohmann/json.hpp>

#include "sandbox/files.h"
#include "sandbox/offload.h"
#include "tools/approval.h"
#include "tools/builtin.h"
#include "tools/edit_text.h"
#include "tools/lines.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

constexpr std::uint64_t kMaxFileBytes = 32 << 20;

struct Request {
  std::string path;  // as it is shown
  std::string file;  // what is edited
  std::string old_text, new_text, lines, tag;
  bool all = false;
};

// What the edit makes of the file's text: the new text, or what to tell the model.
struct Edited {
  std::string text;
  Answer answer;
};

std::string list_of(const std::vector<int>& lines) {
  constexpr std::size_t kMost = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(lines.size(), kMost); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(lines[i]);
  }
  return lines.size() > kMost ? text + ", ..." : text;
}

std::string miss(const Request& request, std::string_view text, const std::vector<int>& places) {
  std::string answer = "Error: the text to replace is not in " + request.path + ".";
  if (!places.empty()) {
    return answer + "\nBut for whitespace it stands at lines " + list_of(places) +
           ": give one of them exactly, with more context.";
  }
  const std::string region = closest_region(text, request.old_text);
  if (region.empty()) return answer + "\nNothing in the file is close to it.";
  return answer + "\nThe closest lines are:\n" + region;
}

Edited edit_by_text(const Request& request, const std::string& text) {
  using Kind = Replacement::Kind;
  Replacement made = replace_text(text, request.old_text, request.new_text, {.all = request.all});
  const std::string place = made.lines.size() > 1 ? " at lines " : " at line ";
  std::string answer = "Edited " + request.path + place + list_of(made.lines) + ".";
  switch (made.kind) {
    case Kind::exact:
      return {std::move(made.text), {answer, false}};
    case Kind::tolerant:
      answer += "\nNote: only whitespace differed from the text given; the new lines were adapted.";
      return {std::move(made.text), {answer, false}};
    case Kind::ambiguous:
      return {{},
              {"Error: the text to replace occurs " + std::to_string(made.lines.size()) +
               " times in " + request.path + "; give more context."}};
    case Kind::doubtful: {
      const std::vector<Line> lines = split_lines(text);
      const int count = static_cast<int>(split_lines(request.old_text).size());
      return {{},
              {"Error: the text to replace is in " + request.path + place + list_of(made.lines) +
               ", but not the indentation that the new lines should have.\nGive whole lines, old "
               "and new, exactly indented. There stands:\n" +
               numbered(lines, made.lines[0], made.lines[0] + count - 1)}};
    }
    case Kind::missing:
      break;
  }
  return {{}, {miss(request, text, made.lines)}};
}

// Lines as `read` showed them: the tag says whether they still stand there.
Edited edit_by_lines(const Request& request, const std::string& text) {
  const LineRange wanted = parse_line_range(request.lines);
  const LineRange shown = parse_line_range(request.tag);
  if (wanted.first == 0) return {{}, {"Error: `lines` must be like \"12-15\" or \"12\"."}};
  if (shown.first == 0) {
    return {{}, {"Error: `lines` needs `tag`, as read shows it: \"1-40:3f9a2c\"."}};
  }
  if (wanted.first < shown.first || wanted.last > shown.last) {
    return {{},
            {"Error: the tag is for lines " + std::to_string(shown.first) + " to " +
             std::to_string(shown.last) + "; read the lines that you want to replace."}};
  }
  const std::vector<Line> lines = split_lines(text);
  if (line_tag(text, lines, shown.first, shown.last) != request.tag) {
    return {{},
            {"Error: " + request.path + " has changed in these lines since they were read. " +
             "Read it again."}};
  }
  Edited edited;
  edited.text = replace_lines(text, wanted.first, wanted.last, request.new_text);
  edited.answer = {"Edited " + request.path + " at line " + std::to_string(wanted.first) + ".",
                   false};
  return edited;
}

// What the arguments leave open; empty when they make sense.
std::string confusion(const Request& request, bool has_old) {
  if (has_old && !request.lines.empty()) return "give either `old` or `lines`, not both.";
  if (!has_old && request.lines.empty()) return "`old` is missing.";
  if (has_old && request.old_text.empty()) {
    return "`old` is empty; to make a file or replace it use write.";
  }
  if (has_old && request.old_text == request.new_text) {
    return "`old` and `new` are the same; there is nothing to change.";
  }
  return {};
}

Answer edit_file(const sandbox::Files& files, const Request& request) {
  const auto read = files.read(request.file, kMaxFileBytes);
  if (const auto* error = std::get_if<sandbox::FileError>(&read)) {
    if (error->kind == sandbox::FileError::Kind::missing) {
      return {"Error: " + request.path + " does not exist."};
    }
    return {"Error: " + sentence(*error, request.file, request.path)};
  }
  const auto& file = std::get<sandbox::FileBytes>(read);
  if (file.truncated) return {"Error: " + request.path + " is too large to edit."};
  Edited edited = request.lines.empty() ? edit_by_text(request, file.bytes)
                                        : edit_by_lines(request, file.bytes);
  if (edited.answer.is_error) return edited.answer;
  const auto written = files.write(request.file, edited.text);
  if (const auto* error = std::get_if<sandbox::FileError>(&written)) {
    return {"Error: " + sentence(*error, request.file, request.path)};
  }
  return edited.answer;
}

class EditTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolSpec spec_ = spec_from_text("edit",
#include "tools/edit.md.inc"
  );
};

asio::awaitable<ToolResult> EditTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  Request request;
  request.path = arguments["path"].get<std::string>();
  request.old_text = arguments.value("old", "");
  request.new_text = arguments["new"].get<std::string>();
  request.lines = arguments.value("lines", "");
  request.tag = arguments.value("tag", "");
  request.all = arguments.value("all", false);
  const std::string problem = confusion(request, arguments.contains("old"));
  if (!problem.empty()) co_return error_result(call, problem);
  auto look = [&files = context.files, path = request.path] { return meant_path(files, path); };
  request.file = co_await sandbox::offload(context.pool, std::move(look));
  request.path = visible_name(request.path);
  const WriteAccess access = co_await write_access(request.file, context);
  auto work = [files = access.files, request = std::move(request)] {
    return edit_file(*files, request);
  };
  const Answer answer = co_await sandbox::offload(context.pool, std::move(work));
  std::string text = answer.is_error ? with_refusal(answer.text, access) : answer.text;
  co_return ToolResult{call.id, std::move(text), answer.is_error};
}

}  // namespace

std::unique_ptr<Tool> make_edit_tool() {
  return std::make_unique<EditTool>();
}

}  // namespace corvid::tools
