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

std::string plain_line(const EventBody& body) {
  if (const auto* e = std::get_if<Notice>(&body)) return e->text;
  if (const auto* e = std::get_if<Failed>(&body)) return "corvid: " + e->message;
  if (const auto* e = std::get_if<CallStarted>(&body)) {
    return "> " + e->call.name + " " + summary(e->call.arguments);
  }
  if (const auto* e = std::get_if<CallFinished>(&body)) return "  " + summary(e->result.text);
  if (const auto* e = std::get_if<StepFinished>(&body)) {
    return e->turn.calls.empty() ? "" : summary(e->turn.content);
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
    if (n < 0 && errno != EINTR && errno != EAGAIN) broken_ = true;
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
    const model::Usage& usage = step->turn.usage;
    sum_.prefilled += usage.prefilled;
    sum_.generated += usage.generated;
    sum_.forced += usage.forced;
    sum_.prefill_seconds += usage.prefill_seconds;
    sum_.decode_seconds += usage.decode_seconds;
    log_.write(usage_line("step " + std::to_string(++step_), usage));
  } else if (std::holds_alternative<TurnFinished>(event.body) && step_ > 1) {
    sum_.reused = 0;
    log_.write(usage_line("total", sum_));
  }
} catch (...) {
}

}  // namespace corvid::runtime
