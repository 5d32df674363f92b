#include "runtime/serve/agent_requests.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/json_line.h"
#include "runtime/serve/api_error.h"

namespace corvid::runtime {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using model::JsonField;

bool lies_in(const fs::path& path, const fs::path& folder) {
  return std::ranges::mismatch(path, folder).in2 == folder.end();
}

// The workspace that a request asks for, with its links resolved.
fs::path read_cwd(const JsonField& field, const std::vector<fs::path>& workspaces) {
  const fs::path asked = field.text();
  if (!asked.is_absolute()) field.fail("'" + asked.string() + "' is not an absolute path");
  std::error_code error;
  const fs::path folder = fs::canonical(asked, error);
  if (error || !fs::is_directory(folder, error)) {
    field.fail("there is no folder '" + asked.string() + "'");
  }
  if (lies_in_one_of(folder, workspaces)) return folder;
  throw ApiError(
      403,
      "cwd: sessions may work in the folder that the server was started in, and in those "
      "of `corvid serve --workspace DIR`; '" +
          folder.string() + "' is in none of them",
      "cwd");
}

}  // namespace

bool lies_in_one_of(const fs::path& path, const std::vector<fs::path>& folders) {
  return std::ranges::any_of(folders,
                             [&](const fs::path& folder) { return lies_in(path, folder); });
}

namespace {

constexpr const char* kOptions[] = {"thinking", "max_steps", "temperature", "top_p", "min_p"};

void read_options(const JsonField& body, Settings& settings) {
  if (const auto on = body.find("thinking")) {
    settings.thinking = on->boolean() ? model::Thinking::on : model::Thinking::off;
  }
  if (const auto n = body.find("max_steps")) {
    settings.max_steps = static_cast<int>(n->integer(1, 100'000));
  }
  if (const auto value = body.find("temperature")) {
    settings.sampling.temperature = value->number(0, 2);
  }
  if (const auto value = body.find("top_p")) settings.sampling.top_p = value->number(0, 1);
  if (const auto value = body.find("min_p")) settings.sampling.min_p = value->number(0, 1);
}

}  // namespace

AgentOptions read_session(const JsonField& body, const Settings& defaults,
                          const std::vector<fs::path>& workspaces) {
  AgentOptions session{.settings = defaults};
  const auto cwd = body.find("cwd");
  session.cwd = cwd ? read_cwd(*cwd, workspaces) : workspaces.at(0);
  read_options(body, session.settings);
  Json asked = Json::object();
  for (const char* name : kOptions) {
    if (const auto value = body.find(name)) asked[name] = value->json();
  }
  session.asked = json_line(asked);
  return session;
}

Settings settings_of(const memory::SessionHeader& header, Settings defaults) {
  const model::JsonDocument policy(header.policy, "the session's policy");
  if (const auto asked = policy.root().find("asked")) read_options(*asked, defaults);
  return defaults;
}

std::uint64_t owner_of(const memory::SessionHeader& header) {
  const Json policy = Json::parse(header.policy, nullptr, false);
  if (!policy.is_object()) return 0;
  const auto owner = policy.find("owner");
  return owner != policy.end() && owner->is_number_unsigned() ? owner->get<std::uint64_t>() : 0;
}

std::string read_prompt(const JsonField& body) {
  const JsonField field = body.at("text");
  std::string text = field.text();
  if (text.find_first_not_of(" \t\r\n") == text.npos) field.fail("it is empty");
  return text;
}

Approvals::Answer read_answer(const JsonField& body) {
  const JsonField field = body.at("answer");
  const std::string word = field.text();
  if (word == "once") return Approvals::Answer::once;
  if (word == "always") return Approvals::Answer::always;
  if (word == "never") return Approvals::Answer::never;
  if (word != "no") field.fail("'" + word + "' is none of once, always, no, never");
  return Approvals::Answer::no;
}

std::string_view name(Approvals::Answer answer) {
  switch (answer) {
    case Approvals::Answer::once:
      return "once";
    case Approvals::Answer::always:
      return "always";
    case Approvals::Answer::never:
      return "never";
    case Approvals::Answer::no:
      break;
  }
  return "no";
}

}  // namespace corvid::runtime
