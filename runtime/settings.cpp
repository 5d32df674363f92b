#include "runtime/settings.h"

#include <stdexcept>

// toml++ asserts what a file need not hold: that a [table]'s name begins as a name.
[[noreturn]] static void refuse_toml() {
  throw std::logic_error("no TOML");
}
#define TOML_ASSERT(holds) (static_cast<bool>(holds) ? void() : refuse_toml())
#include <toml++/toml.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <sstream>

#include "runtime/error.h"
#include "runtime/folders.h"
#include "sandbox/host_filter.h"

namespace corvid::runtime {
namespace {

// One key: what it means, how it is read, how it is printed.
struct Key {
  std::string name;  // "remote.dialect"
  std::string meaning;
  std::function<std::string(const toml::node&, Settings&)> read;  // returns what is wrong, or ""
  std::function<std::string(const Settings&)> print;              // "" when it has no value
};

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

// `field` finds the value in Settings, mutable or not.
template <typename Field>
Key text_key(std::string name, std::string meaning, Field field,
             std::vector<std::string> choices = {}) {
  const auto read = [field, choices](const toml::node& node, Settings& settings) -> std::string {
    const auto value = node.value_exact<std::string>();
    if (value && value->empty() && choices.empty()) return {};  // as good as none
    if (value && (choices.empty() || std::ranges::count(choices, *value))) {
      field(settings) = *value;
      return {};
    }
    std::string wanted = choices.empty() ? "a string" : "one of";
    for (const std::string& choice : choices) wanted += " \"" + choice + "\"";
    return wanted;
  };
  return {std::move(name), std::move(meaning), read, [field](const Settings& settings) {
            const std::string& value = field(settings);
            return value.empty() ? "" : quoted(value);
          }};
}

template <typename Field>
Key flag_key(std::string name, std::string meaning, Field field) {
  const auto read = [field](const toml::node& node, Settings& settings) -> std::string {
    const auto value = node.value_exact<bool>();
    if (!value) return "true or false";
    field(settings) = *value;
    return {};
  };
  return {std::move(name), std::move(meaning), read,
          [field](const Settings& settings) { return field(settings) ? "true" : "false"; }};
}

template <typename Field>
Key count_key(std::string name, std::string meaning, Field field, int low, int high) {
  const auto read = [=](const toml::node& node, Settings& settings) -> std::string {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < low || *value > high) {
      return "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
    }
    field(settings) = static_cast<int>(*value);
    return {};
  };
  return {std::move(name), std::move(meaning), read,
          [field](const Settings& settings) { return std::to_string(field(settings)); }};
}

template <typename Field>
Key ratio_key(std::string name, std::string meaning, Field field, double high) {
  const auto read = [=](const toml::node& node, Settings& settings) -> std::string {
    const auto value = node.value<double>();
    if (!value || !(*value >= 0 && *value <= high)) {
      std::ostringstream wanted;
      wanted << "a number from 0 to " << high;
      return wanted.str();
    }
    field(settings) = *value;
    return {};
  };
  return {std::move(name), std::move(meaning), read, [field](const Settings& settings) {
            std::ostringstream out;
            if (field(settings)) out << *field(settings);
            return out.str();
          }};
}

template <typename Field>
Key seconds_key(std::string name, std::string meaning, Field field) {
  const auto read = [=](const toml::node& node, Settings& settings) -> std::string {
    const auto value = node.value<double>();
    if (!value || !(*value >= 0.001 && *value <= 7 * 86'400)) return "seconds, 0.001 to 604800";
    field(settings) = std::chrono::milliseconds(static_cast<std::int64_t>(*value * 1000));
    return {};
  };
  return {std::move(name), std::move(meaning), read, [field](const Settings& settings) {
            std::ostringstream out;
            out << static_cast<double>(field(settings).count()) / 1000;
            return out.str();
          }};
}

template <typename Field>
Key list_key(std::string name, std::string meaning, Field field, std::string wanted,
             std::function<bool(const std::string&)> is_good) {
  const auto read = [=](const toml::node& node, Settings& settings) -> std::string {
    const toml::array* array = node.as_array();
    if (!array) return wanted;
    for (const toml::node& entry : *array) {
      const auto text = entry.value_exact<std::string>();
      if (!text || !is_good(*text)) return wanted;
      field(settings).push_back(*text);
    }
    return {};
  };
  const auto print = [field](const Settings& settings) {
    std::string text;
    for (const std::string& entry : field(settings)) {
      text += (text.empty() ? "[" : ", ") + quoted(entry);
    }
    return text.empty() ? "[]" : text + "]";
  };
  return {std::move(name), std::move(meaning), read, print};
}

bool is_absolute(const std::string& folder) {
  return folder.starts_with('/') || folder.starts_with("~/");
}

Key thinking_key() {
  const auto is_on = [](auto& settings) { return settings.thinking == model::Thinking::on; };
  const auto read = [](const toml::node& node, Settings& settings) -> std::string {
    const auto value = node.value_exact<bool>();
    if (!value) return "true or false";
    settings.thinking = *value ? model::Thinking::on : model::Thinking::off;
    return {};
  };
  return {"think", "whether the model reasons before it answers", read,
          [is_on](const Settings& settings) { return is_on(settings) ? "true" : "false"; }};
}

#define CORVID_FIELD(path)      \
  [](auto& settings) -> auto& { \
    return settings.path;       \
  }

// Top-level keys first, then table by table: the order of the printed file.
std::vector<Key> make_keys() {
  return {
      text_key("model", "a GGUF file or a URL (https://host/v1#name); none: the built-in model",
               CORVID_FIELD(model)),
      text_key("backend", "what computes a local model: auto, cpu, vulkan or vulkan:N",
               CORVID_FIELD(backend)),
      thinking_key(),
      count_key("max_steps", "replies of the model to one prompt before it is stopped",
                CORVID_FIELD(max_steps), 1, 100'000),
      ratio_key("sampling.temperature", "0 always takes the likeliest token; none: the model's own",
                CORVID_FIELD(sampling.temperature), 2),
      ratio_key("sampling.top_p", "keeps the likeliest tokens up to this sum of probability",
                CORVID_FIELD(sampling.top_p), 1),
      ratio_key("sampling.min_p", "drops tokens below this part of the likeliest one",
                CORVID_FIELD(sampling.min_p), 1),
      flag_key("sandbox.enabled", "false runs tools without any protection",
               CORVID_FIELD(sandbox.enabled)),
      flag_key("sandbox.network", "whether tools reach the network", CORVID_FIELD(sandbox.network)),
      list_key("sandbox.hosts",
               "hosts that tools reach although the network is off: \"example.com\", "
               "\"*.example.com\", \"example.com:8080\"",
               CORVID_FIELD(sandbox.hosts), "an array of host names, with or without a port",
               [](const std::string& text) { return sandbox::parse_host_rule(text).has_value(); }),
      flag_key("sandbox.ask",
               "whether an interactive session asks for what the sandbox does not allow; false: "
               "the answer is no",
               CORVID_FIELD(sandbox.ask)),
      list_key("sandbox.writable", "folders that tools may write besides the workspace",
               CORVID_FIELD(sandbox.writable), "an array of folders that start with / or ~/",
               is_absolute),
      text_key("remote.key_variable", "the environment variable that holds the API key",
               CORVID_FIELD(remote.key_variable)),
      text_key("remote.dialect", "what the server speaks; none: found out",
               CORVID_FIELD(remote.dialect),
               {"generic", "deepseek", "vllm", "sglang", "llama-server", "ollama"}),
      text_key("remote.reasoning",
               "how long reasoning is sent back: turn drops it at the next user message; none: by "
               "the model's name",
               CORVID_FIELD(remote.reasoning), {"turn", "always", "never"}),
      text_key("remote.ca_file", "certificates to trust instead of the system's",
               CORVID_FIELD(remote.ca_file)),
      count_key("remote.max_tokens", "of one reply; 0: the server's default",
                CORVID_FIELD(remote.max_tokens), 0, 10'000'000),
      count_key("remote.context_tokens", "the model's context; 0: as the server says",
                CORVID_FIELD(remote.context_tokens), 0, 1'000'000'000),
      count_key("remote.reply_limit_bytes", "a reply that grows beyond this is cut",
                CORVID_FIELD(remote.reply_limit_bytes), 1024, 1 << 30),
      seconds_key("remote.connect_deadline", "seconds to connect",
                  CORVID_FIELD(remote.connect_deadline)),
      seconds_key("remote.retry_deadline", "seconds to go on trying a server that is busy",
                  CORVID_FIELD(remote.retry_deadline)),
      seconds_key("remote.first_token_deadline",
                  "seconds without a sign of life before the first token",
                  CORVID_FIELD(remote.first_token_deadline)),
      seconds_key("remote.stall_deadline", "seconds without a sign of life after it",
                  CORVID_FIELD(remote.stall_deadline)),
      seconds_key("remote.reply_deadline", "seconds for one reply, whatever happens",
                  CORVID_FIELD(remote.reply_deadline)),
  };
}
#undef CORVID_FIELD

const std::vector<Key>& keys() {
  static const std::vector<Key> all = make_keys();
  return all;
}

// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row[b.size()];
}

// A key by its whole name or its last part, or a table.
std::string nearest_name(const std::string& name) {
  const std::string_view own = std::string_view(name).substr(name.rfind('.') + 1);
  std::string best;
  std::size_t least = SIZE_MAX;
  const auto consider = [&](std::size_t apart, const std::string& candidate) {
    if (apart >= least) return;
    least = apart;
    best = candidate;
  };
  for (const Key& key : keys()) {
    const std::size_t dot = key.name.rfind('.');
    consider(distance(name, key.name), key.name);
    if (dot == std::string::npos) continue;
    consider(distance(own, key.name.substr(dot + 1)) + 1, key.name);
    consider(distance(name, key.name.substr(0, dot)), "[" + key.name.substr(0, dot) + "]");
  }
  return best;
}

[[noreturn]] void refuse(const std::string& file, const toml::source_region& where,
                         const std::string& why) {
  throw RuntimeError(file + ":" + std::to_string(where.begin.line) + ": " + why, kUsage);
}

void read_table(const toml::table& table, const std::string& prefix, const std::string& file,
                Settings& settings) {
  for (const auto& [name, node] : table) {
    const std::string path = prefix + std::string(name.str());
    const auto key = std::ranges::find(keys(), path, &Key::name);
    if (key != keys().end()) {
      const std::string wanted = key->read(node, settings);
      if (!wanted.empty()) refuse(file, node.source(), path + " takes " + wanted + ".");
      continue;
    }
    const bool is_known_table = std::ranges::any_of(
        keys(), [&](const Key& known) { return known.name.starts_with(path + "."); });
    if (is_known_table && node.is_table()) {
      read_table(*node.as_table(), path + ".", file, settings);
      continue;
    }
    if (is_known_table) refuse(file, node.source(), path + " is a table: [" + path + "].");
    refuse(file, name.source(),
           "there is no setting " + path + "; did you mean " + nearest_name(path) + "?");
  }
}

}  // namespace

Settings parse_settings(const std::string& text, const std::string& name) {
  Settings settings;
  try {
    const toml::table table = toml::parse(text, name);
    read_table(table, "", name, settings);
  } catch (const toml::parse_error& failed) {
    refuse(name, failed.source(), std::string(failed.description()) + ".");
  } catch (const std::logic_error&) {
    throw RuntimeError(name + ": it is not TOML: a [table] has a name that needs quotes.", kUsage);
  }
  return settings;
}

Settings load_settings(const std::filesystem::path& file) {
  std::error_code failed;
  if (!std::filesystem::exists(file, failed)) return {};
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) throw RuntimeError("Cannot read the settings in " + file.string() + ".", kUsage);
  return parse_settings(text.str(), file.string());
}

std::string print_settings(const Settings& settings) {
  const Settings defaults;
  std::string text, table;
  for (const Key& key : keys()) {
    const std::size_t dot = key.name.find('.');
    if (dot != std::string::npos && key.name.substr(0, dot) != table) {
      table = key.name.substr(0, dot);
      text += "\n[" + table + "]\n";
    }
    const std::string own = dot == std::string::npos ? key.name : key.name.substr(dot + 1);
    const std::string value = key.print(settings);
    const bool is_default = value == key.print(defaults);
    text += "# " + key.meaning + "\n" + (is_default ? "#" : "") + own + " =" +
            (value.empty() ? "" : " " + value) + "\n";
  }
  return text;
}

std::filesystem::path settings_file() {
  return config_folder() / "config.toml";
}
std::filesystem::path key_file() {
  return config_folder() / "keys";
}

std::filesystem::path expand_home(const std::string& path) {
  return path.starts_with("~/") ? home_folder() / path.substr(2) : std::filesystem::path(path);
}

}  // namespace corvid::runtime
