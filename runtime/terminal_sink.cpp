#include "runtime/terminal_sink.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <variant>
#include <vector>

#include "runtime/terminal_text.h"

namespace corvid::runtime {
namespace {

constexpr std::size_t kFoldFirst = 4, kFoldLast = 3;  // lines of a long result
constexpr std::size_t kArgumentLimitBytes = 400;      // longer arguments are shown by their size
constexpr int kCallRows = 3;                          // a call takes no more of the screen

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string size_of(std::string_view text) {
  const auto n_lines = lines_of(text).size();
  if (n_lines > 1) return std::to_string(n_lines) + " lines";
  return std::to_string(text.size()) + " bytes";
}

std::string last_line(std::string_view text) {
  const auto lines = lines_of(text);
  return lines.empty() ? std::string() : std::string(lines.back());
}

}  // namespace

std::string call_summary(const model::ToolCall& call) {
  std::string text = shown(call.name, Care::command);
  if (!call.problem.empty()) return text + "  (" + shown(call.problem, Care::command) + ")";
  const auto arguments = nlohmann::ordered_json::parse(call.arguments, nullptr, false);
  if (!arguments.is_object()) return text;
  bool is_first = true;
  for (const auto& [name, value] : arguments.items()) {
    const std::string raw = value.is_string() ? value.get<std::string>() : value.dump();
    const bool is_long = raw.size() > kArgumentLimitBytes || raw.find('\n') != std::string::npos;
    const bool is_main = std::exchange(is_first, false) && value.is_string();
    text += "  ";
    if (!is_main) text += shown(name, Care::command) + "=";
    if (is_long && is_main) text += shown(lines_of(raw).front(), Care::command) + " … ";
    text += is_long ? "(" + size_of(raw) + ")" : shown(raw, Care::command);
  }
  return text;
}

std::string folded(std::string_view text, int columns) {
  const auto lines = lines_of(text);
  const bool folds = lines.size() > kFoldFirst + kFoldLast + 1;
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (folds && i == kFoldFirst) {
      i = lines.size() - kFoldLast;
      out += "… " + std::to_string(lines.size() - kFoldFirst - kFoldLast) + " more lines\n";
    }
    out += fitted(shown(lines[i], Care::command), columns) + "\n";
  }
  return out;
}

void TerminalSink::receive(const Event& event) noexcept try {
  std::visit([this](const auto& body) { show(body); }, event.body);
} catch (...) {  // no memory: this event is not shown, the session goes on
}

void TerminalSink::show(const SessionStarted& event) {
  line(Style::dim, std::string(event.resumed ? "going on with " : "") +
                       shown(event.model, Care::command) + "  in  " +
                       shown(event.workspace, Care::command));
}

void TerminalSink::show(const Progress& event) {
  std::string text = shown(event.what, Care::command);
  if (event.fraction > 0) {
    text += " " + std::to_string(static_cast<int>(event.fraction * 100)) + "%";
  }
  passing(text);
}

// Calls are shown when they start; until then, that one is being written.
void TerminalSink::show(const CallDelta& event) {
  n_call_bytes_ += event.text.size();
  end_part();
  passing("writing a call, " + std::to_string(n_call_bytes_) + " bytes");
}

void TerminalSink::show(const StepFinished& event) {
  end_part();
  n_call_bytes_ = 0;
  turn_.add(event.turn.usage);
  session_.add(event.turn.usage);
  if (!event.turn.problem.empty()) line(Style::red, shown(event.turn.problem, Care::prose));
}

void TerminalSink::show(const CallStarted& event) {
  end_part();
  const std::string summary =
      fitted(call_summary(event.call), std::max(out_.columns() * kCallRows - 4, 8));
  const std::size_t name = std::min(summary.find("  "), summary.size());
  line(Style::plain, "● " + styled(Style::bold, summary.substr(0, name)) + summary.substr(name));
}

void TerminalSink::show(const CallOutput& event) {
  passing("  │ " + shown(last_line(event.text), Care::command));
}

void TerminalSink::show(const CallFinished& event) {
  last_result_ = event.result.text;
  const std::string text = folded(event.result.text, std::max(out_.columns() - 5, 8));
  for (const std::string_view part : lines_of(text)) {
    const Style style = event.result.is_error ? Style::red : Style::dim;
    line(Style::plain, styled(Style::dim, "  │ ") + styled(style, part));
  }
}

void TerminalSink::show(const TurnFinished&) {
  end_part();
  line(Style::dim, print(std::exchange(turn_, {})));
}

void TerminalSink::show(const Notice& event) {
  end_part();
  line(Style::dim, shown(event.text, Care::prose));
}

void TerminalSink::show(const Failed& event) {
  end_part();
  turn_ = {};
  line(Style::red, "corvid: " + shown(event.message, Care::prose));
}

void TerminalSink::say(std::string_view text) {
  end_part();
  line(Style::plain, text);
}

void TerminalSink::stream(Part part, const std::string& text) {
  clear_passing();
  std::string fresh = shown(text, Care::prose);
  if (part_ != part) {
    end_part();
    const std::size_t start =
        fresh.find_first_not_of("\n");  // models like to begin with blank lines
    if (start == std::string::npos) return;
    fresh.erase(0, start);
    part_ = part;
    if (part == Part::reasoning) {
      out_.write(out_.has_colour() ? "\x1b[2m" : "thinking: ");
    }
  }
  if (fresh.empty()) return;
  out_.write(fresh);
  at_line_start_ = fresh.back() == '\n';
}

void TerminalSink::end_part() {
  if (part_ == Part::none && at_line_start_) return;
  clear_passing();
  if (part_ == Part::reasoning && out_.has_colour()) out_.write("\x1b[0m");
  if (!at_line_start_) out_.write("\n");
  at_line_start_ = true;
  part_ = Part::none;
}

void TerminalSink::line(Style style, std::string_view text) {
  clear_passing();
  out_.write(styled(style, text) + "\n");
}

void TerminalSink::passing(std::string_view text) {
  if (!out_.has_cursor() || !at_line_start_) return;
  if (part_ != Part::none) end_part();
  const std::string fresh = fitted(text, std::max(out_.columns() - 1, 1));
  if (fresh == passing_) return;
  out_.write("\r" + styled(Style::dim, fresh) + "\x1b[K");
  passing_ = fresh;
}

void TerminalSink::clear_passing() {
  if (passing_.empty()) return;
  passing_.clear();
  out_.write("\r\x1b[K");
}

std::string TerminalSink::styled(Style style, std::string_view text) const {
  if (style == Style::plain || !out_.has_colour()) return std::string(text);
  const char* code = style == Style::dim    ? "\x1b[2m"
                     : style == Style::bold ? "\x1b[1m"
                                            : "\x1b[31m";
  return code + std::string(text) + "\x1b[0m";
}

}  // namespace corvid::runtime
