#include "runtime/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>

#include "model/text/utf8.h"
#include "runtime/error.h"
#include "runtime/key_input.h"

namespace corvid::runtime {
namespace {

constexpr int kHistoryLines = 1000;
constexpr off_t kHistoryLimitBytes = 1 << 20;  // a longer file is written anew at start
constexpr const char* kContinued = "… ";

// libedit counts and draws characters by the locale.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

void write_all(const char* text) {
  std::fputs(text, stdout);
  std::fflush(stdout);
}

}  // namespace

struct LineEditor::Parts {
  explicit Parts(LineEditorOptions given) : options(std::move(given)), keys(STDIN_FILENO) {
    if (options.edits) start_editing();
  }
  ~Parts() {
    if (editor) el_end(editor);
    if (history) history_end(history);
  }

  void start_editing();
  void hush();
  void load_history();
  void remember(const std::string& text);
  Line line(const std::string& first_prompt, bool remembers);
  Line edited_line();
  Line plain_line();
  bool woken(Wake why);
  static int next_key(EditLine* editor, wchar_t* key);
  static char* show_prompt(EditLine* editor);

  LineEditorOptions options;
  KeyInput keys;
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string prompt;
  enum class Broken { no, abandoned, cleared } broken = Broken::no;
};

void LineEditor::Parts::start_editing() {
  use_utf8();
  editor = el_init("corvid", stdin, stdout, stderr);
  history = history_init();
  if (!editor || !history) throw RuntimeError("The terminal cannot be used for editing lines.");
  HistEvent event;
  ::history(history, &event, H_SETSIZE, kHistoryLines);
  ::history(history, &event, H_SETUNIQUE, 1);
  el_set(editor, EL_CLIENTDATA, this);
  el_set(editor, EL_PROMPT, &Parts::show_prompt);
  el_set(editor, EL_SIGNAL, 0);  // signals are the io thread's
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_HIST, ::history, history);
  el_set(editor, EL_GETCFN, &Parts::next_key);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
  el_source(editor, nullptr);  // the user's ~/.editrc
  hush();
  load_history();
}

// In line mode the kernel would turn a Ctrl-D typed between two prompts into a NUL.
void LineEditor::Parts::hush() {
  el_set(editor, EL_SETTY, "-x", "-icanon", "-echo", nullptr);
}

void LineEditor::Parts::load_history() {
  if (options.history_file.empty()) return;
  std::error_code ignored;  // without a history file a session works all the same
  std::filesystem::create_directories(options.history_file.parent_path(), ignored);
  HistEvent event;
  ::history(history, &event, H_LOAD, options.history_file.c_str());
  struct stat info = {};
  if (stat(options.history_file.c_str(), &info) == 0 && info.st_size > kHistoryLimitBytes) {
    ::history(history, &event, H_SAVE, options.history_file.c_str());
  }
}

// Appends, so that sessions side by side keep each other's lines.
void LineEditor::Parts::remember(const std::string& text) {
  if (!history || text.empty()) return;
  HistEvent event;
  ::history(history, &event, H_ENTER, text.c_str());
  if (options.history_file.empty()) return;
  const int fd =
      open(options.history_file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  FILE* file = fd < 0 ? nullptr : fdopen(fd, "a");
  if (!file) return;
  std::fseek(file, 0, SEEK_END);  // libedit begins an empty file with its mark
  ::history(history, &event, H_NSAVE_FP, std::size_t{0}, file);  // the entries after so many: one
  std::fclose(file);
}

// The bytes of `Wake` come from other threads; true: go on reading this line.
bool LineEditor::Parts::woken(Wake why) {
  switch (why) {
    case Wake::resize:
      if (editor) el_resize(editor);
      return true;
    case Wake::resume:
      if (editor) {
        el_set(editor, EL_PREP_TERM, 1);
        el_set(editor, EL_REFRESH);
      } else {
        write_all(prompt.c_str());
      }
      return true;
    case Wake::interrupt: {
      const LineInfo* info = editor ? el_line(editor) : nullptr;
      broken = info && info->lastchar != info->buffer ? Broken::cleared : Broken::abandoned;
      return false;
    }
    case Wake::quit:
      broken = Broken::abandoned;
      return false;
  }
  return true;
}

int LineEditor::Parts::next_key(EditLine* editor, wchar_t* key) {
  void* data = nullptr;
  el_get(editor, EL_CLIENTDATA, &data);
  Parts& parts = *static_cast<Parts*>(data);
  const auto woken = [&](char why) { return parts.woken(static_cast<Wake>(why)); };
  const std::optional<wchar_t> next = parts.keys.next(woken);
  if (!next) return 0;
  *key = *next;
  return 1;
}

char* LineEditor::Parts::show_prompt(EditLine* editor) {
  void* data = nullptr;
  el_get(editor, EL_CLIENTDATA, &data);
  return static_cast<Parts*>(data)->prompt.data();
}

// Lines that end with a backslash are one.
LineEditor::Line LineEditor::Parts::line(const std::string& first_prompt, bool remembers) {
  prompt = first_prompt;
  Line whole;
  for (;;) {
    Line part = editor ? edited_line() : plain_line();
    if (part.kind != Line::Kind::text) return part;
    const bool goes_on = part.text.ends_with('\\');
    if (goes_on) part.text.pop_back();
    whole.text += part.text;
    if (!goes_on) break;
    whole.text += '\n';
    prompt = kContinued;
  }
  if (remembers) remember(whole.text);
  return whole;
}

LineEditor::Line LineEditor::Parts::edited_line() {
  write_all("\x1b[?2004h");  // bracketed paste
  Line line;
  for (;;) {
    broken = Broken::no;
    int n_bytes = 0;
    const char* text = el_gets(editor, &n_bytes);
    if (text && n_bytes > 0) {
      line.text.assign(text, static_cast<std::size_t>(n_bytes));
      if (line.text.ends_with('\n')) line.text.pop_back();
      break;
    }
    if (broken == Broken::cleared) {
      write_all("^C\n");
      continue;
    }
    write_all("\n");
    line.kind = broken == Broken::abandoned ? Line::Kind::abandoned : Line::Kind::end;
    break;
  }
  write_all("\x1b[?2004l");
  return line;
}

LineEditor::Line LineEditor::Parts::plain_line() {
  write_all(prompt.c_str());
  broken = Broken::no;
  const auto on_wake = [&](char why) { return woken(static_cast<Wake>(why)); };
  std::string text;
  for (;;) {
    const std::optional<wchar_t> next = keys.next(on_wake);
    if (!next) {
      write_all("\n");
      return {broken == Broken::no ? Line::Kind::end : Line::Kind::abandoned, {}};
    }
    if (*next == L'\n') return {Line::Kind::text, text};
    model::append_utf8(text, static_cast<char32_t>(*next));
  }
}

LineEditor::LineEditor(LineEditorOptions options)
    : parts_(std::make_unique<Parts>(std::move(options))) {}
LineEditor::~LineEditor() = default;

LineEditor::Line LineEditor::read() {
  return parts_->line(parts_->options.prompt, true);
}

LineEditor::Line LineEditor::ask(const std::string& prompt) {
  parts_->keys.forget();
  return parts_->line(prompt, false);
}

void LineEditor::hush() {
  if (parts_->editor) parts_->hush();
}

void LineEditor::wake(Wake why) noexcept {
  parts_->keys.wake(static_cast<char>(why));
}

}  // namespace corvid::runtime
