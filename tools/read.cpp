#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/text/utf8.h"
#include "sandbox/files.h"
#include "sandbox/offload.h"
#include "tools/builtin.h"
#include "tools/lines.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

constexpr std::uint64_t kWindowBytes = 1 << 20;
constexpr std::uint64_t kMaxScanBytes = std::uint64_t{1} << 30;    // to find a late line
constexpr std::uint64_t kMaxCountBytes = std::uint64_t{64} << 20;  // to know the number of lines
constexpr std::size_t kShownOfCutLine = 2000;
constexpr int kMaxEntries = 1000;

struct Request {
  std::string path;        // as it is shown
  std::string file;        // what is read
  bool is_output = false;  // of a tool, in a file: all of it is shown
  int first = 1;
  int limit = 0;  // 0: as many as fit
  std::size_t budget_bytes = 0;
};

// A piece of the file that starts with the first line wanted.
struct Window {
  std::string bytes;
  bool reaches_end = false;
  int total_lines = -1;  // unknown when the file is large
  std::uint64_t file_bytes = 0;
};

using Found = std::variant<Window, Answer>;

Answer failure(const std::string& text) {
  return {"Error: " + text};
}

Answer failure(const sandbox::FileError& error, const Request& request) {
  return failure(sentence(error, request.file, request.path));
}

bool looks_binary(std::string_view start) {
  return start.substr(0, 8192).find('\0') != start.npos;
}

// Walks the file once: finds where line `first` starts and, if it is not too large, counts lines.
Found find_window(const sandbox::Files& files, const Request& request) {
  Window window;
  std::uint64_t start = 0, offset = 0;
  int line = 1;
  bool found = request.first == 1, ends_with_newline = true;
  for (bool more = true; more;) {
    auto read = files.read(request.file, kWindowBytes, offset);
    if (const auto* error = std::get_if<sandbox::FileError>(&read)) return failure(*error, request);
    auto& chunk = std::get<sandbox::FileBytes>(read);
    window.file_bytes = chunk.size;
    if (offset == 0 && !request.is_output && looks_binary(chunk.bytes)) {
      return failure(request.path + " is binary (" + std::to_string(chunk.size) +
                     " bytes). Look at it with shell: file, strings, xxd.");
    }
    for (std::size_t at = chunk.bytes.find('\n'); at != std::string::npos;
         at = chunk.bytes.find('\n', at + 1)) {
      if (++line == request.first) start = offset + at + 1, found = true;
    }
    if (!chunk.bytes.empty()) ends_with_newline = chunk.bytes.back() == '\n';
    if (offset == 0) window.bytes = chunk.bytes;
    offset += chunk.bytes.size();
    more = !chunk.bytes.empty() && offset < chunk.size;
    if (more && found && chunk.size > kMaxCountBytes) break;
    if (more && offset > kMaxScanBytes) {
      return failure("line " + std::to_string(request.first) + " lies more than " +
                     std::to_string(kMaxScanBytes >> 20) + " MiB into " + request.path +
                     ". Use shell: tail -c, sed.");
    }
    if (!more) window.total_lines = ends_with_newline ? line - 1 : line;
  }
  if (!found || start >= window.file_bytes) {
    if (request.first == 1) return window;  // an empty file
    return failure(request.path + " has only " + std::to_string(window.total_lines) + " lines.");
  }
  if (start > 0) {
    auto read = files.read(request.file, kWindowBytes, start);
    if (const auto* error = std::get_if<sandbox::FileError>(&read)) return failure(*error, request);
    window.bytes = std::move(std::get<sandbox::FileBytes>(read).bytes);
  }
  window.reaches_end = start + window.bytes.size() >= window.file_bytes;
  return window;
}

// With what is escaped in it, here or later.
std::size_t bytes_shown(std::string_view line) {
  const std::size_t more = line.size() > kShownOfCutLine ? 100 : 8;  // for what stands around it
  line = utf8_prefix(line, kShownOfCutLine);
  const std::size_t bytes = model::is_utf8(line) ? line.size() : escape_invalid(line).size();
  return bytes + 3 * static_cast<std::size_t>(std::count(line.begin(), line.end(), '\0')) + more;
}

// Zeroes, which no text has, as other bytes that cannot be shown.
std::string without_zeroes(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\0')
      out += "\\x00";
    else
      out += c;
  }
  return out;
}

// How many of the lines fit into the budget, at least one.
int lines_that_fit(const std::vector<Line>& lines, const Request& request) {
  std::size_t bytes = 200;  // for the last line of the answer
  int count = 0;
  for (const Line& line : lines) {
    bytes += bytes_shown(line.text);
    if (count > 0 && bytes > request.budget_bytes) break;
    ++count;
    if (count == request.limit) break;
  }
  return count;
}

Answer show(const Window& window, const Request& request) {
  std::vector<Line> lines = split_lines(window.bytes);
  // The window may end inside a line: that one is for the next call, unless it is all there is.
  if (!window.reaches_end && lines.size() > 1) lines.pop_back();
  if (lines.empty()) return {"[" + request.path + " is empty]", false};
  const bool cut = !window.reaches_end && lines.size() == 1 && lines[0].end.empty();
  if (cut) lines[0].text = utf8_prefix(lines[0].text, kShownOfCutLine);
  const int count = lines_that_fit(lines, request);
  const int last = request.first + count - 1;
  std::string text = without_zeroes(escape_invalid(numbered(lines, 1, count, request.first)));
  const bool done = window.total_lines >= 0 && last >= window.total_lines;
  text += "[lines " + std::to_string(request.first) + "-" + std::to_string(last);
  if (window.total_lines >= 0)
    text += " of " + std::to_string(window.total_lines);
  else
    text += " of a file of " + std::to_string(window.file_bytes) + " bytes";
  if (cut) {
    text += "; only the start of this line, which is longer than " + std::to_string(kWindowBytes) +
            " bytes: shell has cut -c and tail -c";
  } else {
    std::string tag = line_tag(window.bytes, lines, 1, count);
    tag.replace(0, tag.find(':'), std::to_string(request.first) + "-" + std::to_string(last));
    text += "; tag " + tag;
  }
  if (!done) text += "; go on with offset " + std::to_string(last + 1);
  const std::string_view shown = line_range(window.bytes, lines, 1, count);
  const bool is_text = model::is_utf8(shown) && shown.find('\0') == shown.npos;
  if (!is_text) text += "; bytes that are not UTF-8 are shown as \\xHH";
  return {text + "]", false};
}

Answer list_folder(const sandbox::Files& files, const Request& request) {
  const auto listed = files.list(request.file, false, kMaxEntries);
  if (const auto* error = std::get_if<sandbox::FileError>(&listed)) {
    return failure(*error, request);
  }
  std::string text;
  const auto& entries = std::get<std::vector<sandbox::FolderEntry>>(listed);
  for (const sandbox::FolderEntry& entry : entries) {
    text += visible_name(entry.path.string()) + (entry.is_folder ? "/\n" : "\n");
  }
  const bool all = static_cast<int>(entries.size()) < kMaxEntries;
  return {
      text + "[folder; " + (all ? "" : "the first ") + std::to_string(entries.size()) + " entries]",
      false};
}

// A file that a tool spilled its output to lies outside of the policy; its name alone is taken.
std::string spilled_path(const ToolContext& context, const std::string& path) {
  const std::filesystem::path wanted(path);
  const bool spilled = !context.spill_folder.empty() && wanted.is_absolute() &&
                       wanted.parent_path() == context.spill_folder;
  return spilled ? wanted.filename().string() : "";
}

Answer read_path(const sandbox::Files& files, const Request& request) {
  const auto probe = files.read(request.file, 0);
  const auto* error = std::get_if<sandbox::FileError>(&probe);
  if (error != nullptr && error->kind == sandbox::FileError::Kind::is_folder) {
    return list_folder(files, request);
  }
  Found found = find_window(files, request);
  if (auto* answer = std::get_if<Answer>(&found)) return *answer;
  return show(std::get<Window>(found), request);
}

class ReadTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  bool read_only() const override { return true; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolSpec spec_ = spec_from_text("read",
#include "tools/read.md.inc"
  );
};

asio::awaitable<ToolResult> ReadTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  Request request;
  request.path = arguments["path"].get<std::string>();
  request.first = static_cast<int>(std::clamp(arguments.value("offset", 1.0), 1.0, 2e9));
  request.limit = static_cast<int>(std::clamp(arguments.value("limit", 0.0), 0.0, 2e9));
  request.budget_bytes = context.result_budget_bytes;
  const std::string spilled = spilled_path(context, request.path);
  auto work = [&files = context.files, spilled, folder = context.spill_folder, request]() mutable {
    if (spilled.empty()) {
      request.file = meant_path(files, request.path);
      request.path = visible_name(request.path);
      return read_path(files, request);
    }
    sandbox::Policy policy;
    policy.workspace = folder;
    const sandbox::Files spill_files(policy);
    request.file = request.path = spilled;
    request.is_output = true;
    return read_path(spill_files, request);
  };
  Answer answer = co_await sandbox::offload(context.pool, std::move(work));
  co_return ToolResult{call.id, std::move(answer.text), answer.is_error};
}

}  // namespace

std::unique_ptr<Tool> make_read_tool() {
  return std::make_unique<ReadTool>();
}

}  // namespace corvid::tools
