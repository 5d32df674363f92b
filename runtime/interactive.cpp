#include "runtime/interactive.h"

#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>

#include "runtime/folders.h"
#include "runtime/line_editor.h"
#include "runtime/local_model.h"
#include "runtime/lone_agent.h"
#include "runtime/plugin_question.h"
#include "runtime/terminal_sink.h"
#include "runtime/terminal_text.h"
#include "sandbox/offload.h"

namespace corvid::runtime {
namespace {

constexpr const char* kHelp =
    "Type what you want done. A line that ends with \\ goes on in the next.\n"
    "  /show    the last result of a tool, all of it\n"
    "  /jobs    the commands that run in the background\n"
    "  /stats   what this session has cost in tokens\n"
    "  /help    this\n"
    "  /quit    leave (or Ctrl-D); corvid --resume goes on later\n"
    "Ctrl-C stops the running turn and keeps everything; a second one leaves.";

class Conversation {
 public:
  explicit Conversation(AgentOptions options, bool asks)
      : lone_(std::move(options)),
        out_(STDOUT_FILENO),
        sink_(out_),
        editor_({out_.has_cursor(), "> ", state_folder() / "history"}),
        signals_(lone_.io(), SIGINT, SIGTERM, SIGHUP),
        settled_(lone_.io()) {
    signals_.add(SIGWINCH);
    signals_.add(SIGCONT);
    if (asks) {
      agent_.approvals().ask_with(
          [this](tools::Request request) { return approve(std::move(request)); });
      agent_.approvals().read_with(
          [this](tools::Request request) { return ask_for_text(std::move(request)); });
    }
  }

  ExitCode run();

 private:
  asio::awaitable<void> take_turns();
  asio::awaitable<void> work(std::string text);
  asio::awaitable<void> settled();
  asio::awaitable<Approvals::Answer> approve(tools::Request request);
  asio::awaitable<std::optional<std::string>> ask_for_text(tools::Request request);
  asio::awaitable<LineEditor::Line> next_line(std::string question);
  void start_settling();
  bool obey(const std::string& line);
  void listen();
  void receive(int signal);

  LoneAgent lone_;
  Agent& agent_ = lone_.agent();
  TerminalOutput out_;
  TerminalSink sink_;
  LineEditor editor_;
  asio::thread_pool typist_{1};
  asio::signal_set signals_;
  asio::steady_timer settled_;
  bool reading_ = false;  // the editor has the terminal
  bool working_ = false;  // a turn runs
  bool settling_ = false;
  bool leaving_ = false;
  bool was_interrupted_ = false;  // in this turn
  int n_prompts_ = 0;
  ExitCode code_ = kOk;
};

ExitCode Conversation::run() {
  listen();
  agent_.begin(sink_);
  std::exception_ptr failure;
  asio::co_spawn(lone_.io(), take_turns(), [&](std::exception_ptr error) {
    failure = error;
    lone_.io().stop();
  });
  lone_.io().run();
  if (failure) std::rethrow_exception(failure);
  if (n_prompts_ > 0)
    sink_.say("corvid --resume " + agent_.info().id + "  goes on with this session");
  return code_;
}

asio::awaitable<void> Conversation::take_turns() {
  sink_.say("Type what you want done; /help lists what else there is.");
  bool was_abandoned = false;
  while (!leaving_) {
    const LineEditor::Line line = co_await next_line(std::string());
    if (line.kind == LineEditor::Line::Kind::end) co_return;
    if (line.kind == LineEditor::Line::Kind::abandoned) {
      if (leaving_ || std::exchange(was_abandoned, true)) co_return;
      sink_.say("Ctrl-C again or Ctrl-D leaves.");
      continue;
    }
    was_abandoned = false;
    if (line.text.find_first_not_of(" \t\n") == std::string::npos) continue;
    if (line.text == "/quit" || line.text == "/exit") co_return;
    if (obey(line.text)) continue;
    co_await work(line.text);
  }
}

asio::awaitable<void> Conversation::work(std::string text) {
  ++n_prompts_;
  was_interrupted_ = false;
  working_ = true;
  co_await settled();
  const Outcome outcome = co_await agent_.session().prompt(std::move(text));
  if (outcome.code == kInterrupted) sink_.say("Interrupted; everything is kept.");
  working_ = false;
  if (!leaving_) start_settling();
}

// The editor blocks, so it reads on a thread of its own: all of the pool's may wait for an answer.
// An empty question: the next prompt.
asio::awaitable<LineEditor::Line> Conversation::next_line(std::string question) {
  reading_ = true;
  if (question.empty()) out_.write("\n");
  out_.flush(std::chrono::seconds(2));
  auto read = [this, question] {
    return question.empty() ? editor_.read() : editor_.ask(question);
  };
  LineEditor::Line line = co_await sandbox::offload(typist_, std::move(read));
  reading_ = false;
  co_return line;
}

// In the background: the next prompt waits for it, typing does not.
void Conversation::start_settling() {
  settling_ = true;
  asio::co_spawn(lone_.io(), agent_.session().settle(), [this](std::exception_ptr error) {
    settling_ = false;
    settled_.cancel();
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& failed) {
      sink_.say(shown(failed.what(), Care::prose));
    }
  });
}

asio::awaitable<void> Conversation::settled() {
  while (settling_) {
    settled_.expires_at(asio::steady_timer::time_point::max());
    co_await settled_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

// Shows every byte of what is to be allowed. Whoever types a prompt is not to answer this instead.
asio::awaitable<Approvals::Answer> Conversation::approve(tools::Request request) {
  if (reading_) {
    sink_.say("Refused while you type: " + shown(request.what, Care::command));
    co_return Approvals::Answer::no;
  }
  sink_.say("May it " + shown(request.what, Care::command) + "?");
  const std::string key = shown(request.key, Care::command);
  std::string prompt = "y yes, a always, v never (" + key + "), n no: ";
  const LineEditor::Line line = co_await next_line(std::move(prompt));
  if (line.text == "y" || line.text == "yes") co_return Approvals::Answer::once;
  if (line.text == "a" || line.text == "always") co_return Approvals::Answer::always;
  if (line.text == "v" || line.text == "never") co_return Approvals::Answer::never;
  co_return Approvals::Answer::no;
}

asio::awaitable<std::optional<std::string>> Conversation::ask_for_text(tools::Request request) {
  if (reading_) co_return std::nullopt;
  sink_.say(shown(request.what, Care::command));
  LineEditor::Line line = co_await next_line("answer: ");
  if (line.kind != LineEditor::Line::Kind::text) co_return std::nullopt;
  co_return std::move(line.text);
}

// True when the line was a command of ours.
bool Conversation::obey(const std::string& line) {
  if (line == "/help" || line == "/?") {
    sink_.say(kHelp);
  } else if (line == "/show") {
    const std::string& text = sink_.last_result();
    sink_.say(text.empty() ? "No tool has been called yet." : shown(text, Care::prose));
  } else if (line == "/jobs") {
    const std::vector<std::string> jobs = agent_.jobs();
    if (jobs.empty()) sink_.say("No command runs in the background.");
    for (const std::string& job : jobs) sink_.say(shown(job, Care::command));
  } else if (line == "/stats") {
    const Room room = agent_.dialogue().room();
    std::string text =
        print(sink_.session_sums()) + "; context: " + std::to_string(room.used_tokens);
    if (room.limit_tokens > 0) text += " of " + std::to_string(room.limit_tokens);
    sink_.say(text + " tokens");
  } else if (line.front() == '/' && line.find_first_of(" /\n", 1) == std::string::npos) {
    sink_.say("There is no command " + shown(line, Care::command) + "; /help lists them.");
  } else {
    return false;
  }
  return true;
}

void Conversation::listen() {
  signals_.async_wait([this](boost::system::error_code error, int signal) {
    if (error) return;
    receive(signal);
    listen();
  });
}

// The loop is never stopped under the editor: it is woken and comes back by itself.
void Conversation::receive(int signal) {
  using Wake = LineEditor::Wake;
  if (signal == SIGWINCH || signal == SIGCONT) {
    if (reading_) {
      editor_.wake(signal == SIGWINCH ? Wake::resize : Wake::resume);
    } else if (signal == SIGCONT) {
      editor_.hush();  // the shell changed the modes
    }
    return;
  }
  if (signal == SIGINT && reading_) return editor_.wake(Wake::interrupt);
  if (signal == SIGINT && !std::exchange(was_interrupted_, true)) {
    agent_.session().interrupt();
    sink_.say("stopping; Ctrl-C again leaves at once");
    return;
  }
  leaving_ = true;
  code_ = kInterrupted;
  agent_.session().interrupt();
  if (reading_) return editor_.wake(Wake::quit);
  lone_.io().stop();
}

// Which keeps to its own tools.
bool is_builtin(const AgentOptions& options) {
  const std::string& model = options.model.empty() ? options.settings.model : options.model;
  return model.empty() || model == kBuiltinModel;
}

}  // namespace

ExitCode converse(AgentOptions options) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
    throw RuntimeError(
        "An interactive session needs a terminal. In scripts: corvid run \"task\", or corvid run - "
        "to read the task from standard input.",
        kUsage);
  }
  const bool asks = options.settings.sandbox.ask;
  if (asks && !options.id && !is_builtin(options)) {
    ask_about_plugins(std::filesystem::canonical(options.cwd.empty() ? "." : options.cwd));
  }
  Conversation conversation(std::move(options), asks);
  return conversation.run();
}

}  // namespace corvid::runtime
