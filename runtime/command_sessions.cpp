// corvid sessions, corvid show ID
#include <CLI/CLI.hpp>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "runtime/commands.h"
#include "runtime/error.h"
#include "runtime/folders.h"
#include "runtime/record.h"
#include "tools/text.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;

// Text from a model or a file, without what a terminal would obey.
std::string harmless(std::string text) {
  std::erase_if(text,
                [](unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F; });
  return text;
}

std::string local_time(std::int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm broken_down{};
  localtime_r(&seconds, &broken_down);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &broken_down);
  return text;
}

std::string indented(const std::string& text) {
  std::string lines = "  ";
  for (const char c : harmless(text)) {
    lines += c;
    if (c == '\n') lines += "  ";
  }
  return lines + "\n";
}

// Null where there was no session yet; nothing is made there.
std::unique_ptr<memory::Journal> open_journal() {
  const std::filesystem::path file = sessions_file();
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found) return nullptr;
  return memory::Journal::open(file);
}

void print_sessions(int limit) {
  const auto journal = open_journal();
  std::vector<memory::SessionInfo> sessions;
  if (journal) sessions = journal->list(limit);
  if (sessions.empty()) std::cerr << "There is no session yet. Start one: corvid run \"task\"\n";
  for (const memory::SessionInfo& session : sessions) {
    std::string title = harmless(session.title);
    if (title.size() > 60) title = std::string(tools::utf8_prefix(title, 57)) + "...";
    std::cout << session.id << "  " << local_time(session.updated_ms) << "  " << session.steps
              << (session.steps == 1 ? " step   " : " steps  ") << title << "  ("
              << session.header.workspace << ")\n";
  }
}

void print_step(const memory::Step& step) {
  using Kind = memory::Step::Kind;
  const Json json = Json::parse(step.json);
  switch (step.kind) {
    case Kind::prompt:
      std::cout << "\nuser\n" << indented(json.at("text"));
      break;
    case Kind::turn: {
      std::cout << "\nmodel";
      if (json.at("stop") != "end" && json.at("stop") != "calls") {
        std::cout << " (" << json.at("stop").get<std::string>() << ")";
      }
      std::cout << "\n";
      const std::string reasoning = json.at("reasoning"), content = json.at("content");
      if (!reasoning.empty()) std::cout << "  [reasoning]\n" << indented(reasoning);
      if (!content.empty()) std::cout << indented(content);
      for (const Json& call : json.at("calls")) {
        std::cout << indented("> " + call.at("name").get<std::string>() + " " +
                              call.at("arguments").get<std::string>());
      }
      break;
    }
    case Kind::result:
      std::cout << "\nresult of " << json.at("name").get<std::string>() << "\n"
                << indented(json.at("text"));
      break;
    case Kind::settled:
      break;
    case Kind::notice:
      std::cout << "\nnotice\n" << indented(json.at("text"));
      break;
    case Kind::model:
      std::cout << "\nmodel from here on: " << json.at("model").get<std::string>() << "\n";
      break;
  }
}

Json step_json(const memory::Step& step) {
  static constexpr const char* kKinds[] = {"",        "prompt", "turn", "result",
                                           "settled", "notice", "model"};
  Json json{{"v", 1},
            {"seq", step.seq},
            {"kind", kKinds[static_cast<int>(step.kind)]},
            {"at_ms", step.at_ms}};
  json.update(Json::parse(step.json));
  if (!step.tokens.empty()) json["tokens"] = step.tokens;
  return json;
}

void print_session(const std::string& id, bool as_json) {
  const auto journal = open_journal();
  const auto found = journal ? journal->find(id) : std::nullopt;
  if (!found && id.empty())
    throw RuntimeError("There is no session yet. Start one: corvid run \"task\"", kUsage);
  if (!found)
    throw RuntimeError("There is no session " + id + "; `corvid sessions` lists them.", kUsage);
  const std::vector<memory::Step> steps = journal->steps(found->id);
  if (as_json) {
    for (const memory::Step& step : steps) std::cout << step_json(step).dump() << "\n";
    return;
  }
  std::cout << "session   " << found->id << "\nstarted   " << local_time(found->created_ms)
            << "\nmodel     " << found->header.model << "\nworkspace " << found->header.workspace
            << "\n";
  for (const memory::Step& step : steps) print_step(step);
}

}  // namespace

void add_sessions_command(CLI::App& app) {
  auto limit = std::make_shared<int>(20);
  CLI::App* command = app.add_subcommand("sessions", "List the sessions, the last one first");
  command->add_option("--limit", *limit, "How many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->callback([limit] { print_sessions(*limit); });
}

void add_show_command(CLI::App& app) {
  struct Arguments {
    std::string id;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("show", "Print a session: what was asked, done, answered");
  command->add_option("id", arguments->id,
                      "The session, or its first letters; without it the last");
  command->add_flag("--json", arguments->json, "One journaled step a line, with its token ids");
  command->callback([arguments] { print_session(arguments->id, arguments->json); });
}

}  // namespace corvid::runtime
