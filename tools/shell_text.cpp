#include "tools/shell_text.h"

#include "model/text/utf8.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

std::string ending(const sandbox::ProcessResult& done, std::chrono::seconds deadline) {
  const std::string time = std::to_string(deadline.count()) + " s";
  if (done.interrupted) return cut_short(done, "interrupted");
  if (done.timed_out) return cut_short(done, "timed out after " + time);
  if (done.signal) return "[killed by signal " + std::to_string(*done.signal) + "]";
  return "[exit " + std::to_string(done.exit_code.value_or(-1)) + "]";
}

// The cut between head and tail may go through a character: its pieces are dropped.
std::string_view without_broken_end(std::string_view head) {
  return head.substr(0, head.size() - model::unfinished_utf8(head));
}

std::string_view without_broken_start(std::string_view tail) {
  std::size_t at = 0;
  while (at < 3 && at < tail.size() && (tail[at] & 0xC0) == 0x80) ++at;
  return tail.substr(at);
}

}  // namespace

std::string cut_short(const sandbox::ProcessResult& done, const std::string& why) {
  std::string how;
  if (done.signal) how = ", signal " + std::to_string(*done.signal);
  if (done.exit_code) how = ", exit " + std::to_string(*done.exit_code);
  return "[" + why + how + "]";
}

std::string shell_text(const sandbox::ProcessResult& done, const ShellTextOptions& options) {
  std::string last = options.ending.empty() ? ending(done, options.deadline) : options.ending;
  const std::string what = done.spill_is_cut ? "as much as fits is in " : "all of it is in ";
  const std::string hint = options.spill.empty() ? "" : what + options.spill;
  std::size_t room_for_ending = last.size() + 80;
  for (const std::string& notice : done.notices) room_for_ending += notice.size() + 3;
  const std::size_t budget =
      options.budget_bytes > room_for_ending ? options.budget_bytes - room_for_ending : 0;
  const bool was_cut = !done.tail.empty();
  const std::string_view head = was_cut ? without_broken_end(done.output) : done.output;
  std::string text = escape_invalid(head);
  bool escaped = text.size() != head.size();
  if (was_cut) {
    const std::string_view tail = without_broken_start(done.tail);
    const std::string tail_text = escape_invalid(tail);
    escaped = escaped || tail_text.size() != tail.size();
    const std::size_t marker_bytes = 64 + hint.size();
    const std::size_t room = budget > marker_bytes ? budget - marker_bytes : 0;
    const std::string_view start = utf8_prefix(text, room / 2);
    const std::string_view end = utf8_suffix(tail_text, room - room / 2);
    const std::uint64_t shown =
        std::min<std::uint64_t>(start.size() + end.size(), done.output_bytes);
    std::string cut(start);
    if (!cut.empty() && cut.back() != '\n') cut += '\n';
    cut += "[... " + std::to_string(done.output_bytes - shown) + " bytes left out";
    cut += hint.empty() ? " ...]\n" : "; " + hint + " ...]\n";
    text = cut.append(end);
  } else {
    text = cut_middle(text, budget, hint);
  }
  if (!text.empty() && text.back() != '\n') text += '\n';
  if (escaped) text += "[bytes that are not UTF-8 are shown as \\xHH]\n";
  for (const std::string& notice : done.notices) text += "[" + escape_invalid(notice) + "]\n";
  return text + last;
}

}  // namespace corvid::tools
