#include "runtime/sinks.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "tools/text.h"

namespace corvid::runtime {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr std::size_t kPieceBytes = 4096;  // a pipe that polls writable takes this much (PIPE_BUF)

bool is_delta(const EventBody& body) {
  return std::holds_alternative<ReasoningDelta>(body) ||
         std::holds_alternative<ContentDelta>(body) || std::holds_alternative<CallDelta>(body) ||
         std::holds_alternative<CallOutput>(body) || std::holds_alternative<Progress>(body);
}

// One line of a longer text, without anything that a terminal would obey.
std::string summary(std::string_view text) {
  constexpr std::size_t kMaxBytes = 120;
  while (!text.empty() && text.front() == '\n') text.remove_prefix(1);
  const std::string_view line = text.substr(0, text.find('\n'));
  std::string shown(tools::utf8_prefix(line, kMaxBytes));
  std::ranges::replace_if(
      shown, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  if (shown.size() < text.size()) shown += " ...";
  return shown;
}

// Of a result: its first line, how many follow, and how a command ended that did not end well.
std::string result_summary(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::string_view ending;
  const std::size_t last = text.rfind('\n');
  if (last != text.npos && text[last + 1] == '[') {
    ending = text.substr(last + 1);
    text = text.substr(0, last);
  }
  std::string shown = summary(text.substr(0, text.find('\n')));
  const auto n_more = std::ranges::count(text, '\n');
  if (n_more > 0) shown += " (and " + std::to_string(n_more) + (n_more == 1 ? " line)" : " lines)");
  if (!ending.empty() && ending != "[exit 0]") shown += " " + summary(ending);
  return shown;
}

std::string plain_line(const EventBody& body) {
  if (const auto* e = std::get_if<Notice>(&body)) return e->text;
  if (const auto* e = std::get_if<Failed>(&body)) return "corvid: " + e->message;
  if (const auto* e = std::get_if<CallStarted>(&body)) {
    return "> " + e->call.name + " " + summary(e->call.arguments);
  }
  if (const auto* e = std::get_if<CallFinished>(&body))
    return "  " + result_summary(e->result.text);
  if (const auto* e = std::get_if<StepFinished>(&body)) {
    const model::Turn& turn = e->turn;
    std::string lines = turn.reasoning.empty() ? "" : "thinking: " + summary(turn.reasoning);
    if (turn.calls.empty() || turn.content.empty()) return lines;  // the answer goes to `out`
    return lines + (lines.empty() ? "" : "\n") + summary(turn.content);
  }
  return "";
}

std::string usage_line(const std::string& name, const model::Usage& usage) {
  char line[160];
  std::snprintf(line, sizeof line,
                "%-8s prefilled %6d  reused %7d  generated %5d  forced %5d  %7.2f s + %.2f s\n",
                name.c_str(), usage.prefilled, usage.reused, usage.generated, usage.forced,
                usage.prefill_seconds, usage.decode_seconds);
  return line;
}

}  // namespace

bool BoundedWriter::ready() const noexcept {
  pollfd entry{descriptor_, POLLOUT, 0};
  return !broken_ && poll(&entry, 1, 0) == 1 && (entry.revents & POLLOUT);
}

bool BoundedWriter::write(std::string_view text) noexcept {
  while (!text.empty() && !broken_) {
    pollfd entry{descriptor_, POLLOUT, 0};
    if (poll(&entry, 1, kPatienceMs) != 1) {
      broken_ = errno != EINTR;
      continue;
    }
    const ssize_t n = ::write(descriptor_, text.data(), std::min(text.size(), kPieceBytes));
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
    if (n >= 0 || errno == EINTR || errno == EAGAIN) continue;
    broken_ = true;
    if (errno != EPIPE) problem_ = errno;
  }
  return !broken_;
}

void JsonSink::receive(const Event& event) noexcept try {
  if (is_delta(event.body) && !out_.ready()) return;
  out_.write(to_json(event) + "\n");
} catch (...) {  // no memory: this line is lost, the session is not
}

void PlainSink::receive(const Event& event) noexcept try {
  if (const auto* end = std::get_if<TurnFinished>(&event.body)) {
    if (end->answer.empty() || end->stop != model::Stop::end) return;
    out_.write(end->answer);
    if (end->answer.back() != '\n') out_.write("\n");
  }
  const std::string line = plain_line(event.body);
  if (!line.empty()) log_.write(line + "\n");
} catch (...) {
}

void StatsSink::receive(const Event& event) noexcept try {
  if (const auto* step = std::get_if<StepFinished>(&event.body)) {
    sums_.add(step->turn.usage);
    log_.write(usage_line("step " + std::to_string(sums_.steps), step->turn.usage));
  } else if (std::holds_alternative<TurnFinished>(event.body) && sums_.steps > 1) {
    log_.write(usage_line("total", sums_.usage));
  }
} catch (...) {
}

}  // namespace corvid::runtime
