#include "runtime/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <vector>

#include "runtime/edit_distance.h"

namespace corvid::runtime {
namespace {

constexpr std::size_t kColumns = 80, kNameColumns = 28;
constexpr std::size_t kNearEnough = 2;  // letters that a mistyped name may be off

std::string wrapped(const std::string& text, std::size_t columns) {
  std::istringstream words(text);
  std::string out, line;
  for (std::string word; words >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > columns) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line;
}

// CLI11 adds to a type what its checks are called, "DIR:DIR", and to a flag its default, "{*}".
class HelpText : public CLI::Formatter {
 public:
  HelpText() {
    column_width(kNameColumns);
    label("INT", "N");
    label("FLOAT", "N");
  }
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    const std::string name = Formatter::make_option_name(option, is_positional);
    const std::size_t brace = name.find('{');
    return brace == std::string::npos ? name : name.substr(0, brace) + "[=HOSTS]";
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (!option->get_option_text().empty()) return " " + option->get_option_text();
    if (option->get_type_size() == 0 || option->get_positional()) return {};
    const std::string type = option->get_type_name();
    const bool many = option->get_expected_max() == CLI::detail::expected_max_vector_size;
    return " " + get_label(type.substr(0, type.find(':'))) + (many ? " ..." : "");
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string text = option->get_description();
    if (option->get_required() && !option->get_positional()) text += " (needed)";
    const std::string& value = option->get_default_str();
    if (!value.empty()) text += value.front() == '[' ? " " + value : " [" + value + "]";
    return wrapped(text, kColumns - kNameColumns);
  }
  std::string make_subcommand(const CLI::App* command) const override {
    std::ostringstream out;
    const std::string text = wrapped(command->get_description(), kColumns - kNameColumns);
    CLI::detail::format_help(out, command->get_name(), text, kNameColumns);
    return out.str();
  }
};

struct Command {
  const CLI::App* app;
  std::string name;  // "corvid plugins add"
};

// The one that the line names.
Command command_of(const CLI::App* app) {
  Command command{app, app->get_name()};
  while (!command.app->get_subcommands().empty()) {
    command.app = command.app->get_subcommands().front();
    command.name += " " + command.app->get_name();
  }
  return command;
}

// "; did you mean --model?", or nothing.
std::string nearest(const std::string& name, const std::vector<std::string>& known) {
  const auto apart = [&](const std::string& other) { return edit_distance(name, other); };
  const auto best = std::ranges::min_element(known, {}, apart);
  if (best == known.end() || apart(*best) > kNearEnough) return {};
  return "; did you mean " + *best + "?";
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// Something was left over.
std::string unexpected(const Command& command, const std::vector<std::string>& rest) {
  const auto is_option = [](const std::string& word) { return word.starts_with('-'); };
  const auto option = std::ranges::find_if(rest, is_option);
  if (option != rest.end()) {
    const std::string name = option->substr(0, option->find('='));
    const std::string hint = nearest(name, option_names(*command.app));
    return command.name + " has no option " + name + (hint.empty() ? "." : hint);
  }
  const std::string& word = rest.front();
  if (!command.app->get_subcommands({}).empty()) {
    const std::string hint = nearest(word, command_names(*command.app));
    if (!hint.empty() || command.app->get_parent()) {
      return command.name + " has no command " + word + (hint.empty() ? "." : hint);
    }
    return "There is no command " + word + ". To have a task done: corvid run \"...\"";
  }
  const bool takes_task = command.app->get_option_no_throw("task") != nullptr;
  return "`" + word + "` is one argument too many." +
         (takes_task ? " A task of several words goes in quotes: " + command.name + " \"...\""
                     : "");
}

}  // namespace

void set_up_help(CLI::App& app) {
  app.formatter(std::make_shared<HelpText>());
  app.set_help_flag("-h,--help", "Print this help");
  app.failure_message(describe);
}

std::string describe(const CLI::App* app, const CLI::Error& error) {
  const Command command = command_of(app);
  std::string text = error.what();
  const auto kind = static_cast<CLI::ExitCodes>(error.get_exit_code());
  if (kind == CLI::ExitCodes::ExtrasError) text = unexpected(command, app->remaining(true));
  if (kind == CLI::ExitCodes::RequiredError) {
    text += ".\n" + HelpText().make_usage(command.app, command.name);
  } else {
    text += "\n";
  }
  return "corvid: " + text + "See `" + command.name + " --help`.\n";
}

}  // namespace corvid::runtime
