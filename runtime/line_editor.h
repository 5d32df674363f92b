// Lines that a person types: edited and with history on a terminal that can, plain otherwise.
//
// read() blocks, so it runs on a thread of its own while the io thread goes on; wake() reaches it
// from there. Pasted text (bracketed paste) is one line whatever it contains; a line that ends with
// a backslash goes on in the next. Between reads an editing terminal neither echoes keys nor cuts
// them into lines: what is typed ahead reaches the next read() as it was typed. One object at a
// time per terminal; one read() at a time. RuntimeError when the terminal cannot be used.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace corvid::runtime {

struct LineEditorOptions {
  bool edits = true;  // false: plain lines (TERM=dumb)
  std::string prompt = "> ";
  std::filesystem::path history_file;  // empty: none is kept
};

class LineEditor {
 public:
  enum class Wake : char { interrupt, resize, resume, quit };
  struct Line {
    // `abandoned`: Ctrl-C on an empty line, or quit; `end`: no more input (Ctrl-D).
    enum class Kind { text, abandoned, end } kind = Kind::text;
    std::string text;
  };

  explicit LineEditor(LineEditorOptions options);
  ~LineEditor();

  Line read();
  // For a question: another prompt, no history, and nothing that was typed before it is an answer.
  Line ask(const std::string& prompt);
  void wake(Wake why) noexcept;  // any thread
  // Sets the terminal's modes between reads again, after something else changed them.
  void hush();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::runtime
