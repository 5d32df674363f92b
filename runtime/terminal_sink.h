// What a person at a terminal sees of a session: reasoning dimmed, the answer as it comes, calls
// with their results folded, a line that says what is waited for, token rates.
//
// Everything from a model or a tool is shown escaped. Without a cursor (TERM=dumb) there are no
// lines that change, with NO_COLOR no styles. Never waits for the terminal. io thread only.
#pragma once

#include <string>
#include <string_view>

#include "runtime/event_bus.h"
#include "runtime/terminal_output.h"
#include "runtime/token_sums.h"

namespace corvid::runtime {

class TerminalSink : public EventSink {
 public:
  explicit TerminalSink(TerminalOutput& out) : out_(out) {}
  void receive(const Event& event) noexcept override;

  // For the commands of the interactive session.
  const TokenSums& session_sums() const { return session_; }
  const std::string& last_result() const { return last_result_; }
  // A line of our own, between turns.
  void say(std::string_view text);

 private:
  enum class Part { none, reasoning, content };
  enum class Style { plain, dim, bold, red };

  void show(const SessionStarted& event);
  void show(const Prompted&) {}
  void show(const Progress& event);
  void show(const ReasoningDelta& event) { stream(Part::reasoning, event.text); }
  void show(const ContentDelta& event) { stream(Part::content, event.text); }
  void show(const CallDelta& event);
  void show(const StepFinished& event);
  void show(const CallStarted& event);
  void show(const CallOutput& event);
  void show(const CallFinished& event);
  void show(const TurnFinished& event);
  void show(const Settled&) {}
  void show(const ApprovalAsked&) {}  // the conversation asks by itself
  void show(const ApprovalAnswered&) {}
  void show(const Notice& event);
  void show(const Failed& event);

  void stream(Part part, const std::string& text);
  void end_part();
  void line(Style style, std::string_view text);
  void passing(std::string_view text);  // a line that the next output replaces
  void clear_passing();
  std::string styled(Style style, std::string_view text) const;

  TerminalOutput& out_;
  Part part_ = Part::none;
  bool at_line_start_ = true;
  std::string passing_;
  std::size_t n_call_bytes_ = 0;
  TokenSums turn_, session_;
  std::string last_result_;
};

// A call in a line: its name, then its arguments, long ones by their size.
std::string call_summary(const model::ToolCall& call);
// The lines of a result that are shown: all of a short one, the first and last of a long one.
std::string folded(std::string_view text, int columns);

}  // namespace corvid::runtime
