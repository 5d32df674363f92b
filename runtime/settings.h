// The user's settings: config.toml in the configuration folder, read once at start.
//
// Typed and checked: an unknown key is named with the nearest known one, a wrong value with what it
// should be, both with the line. The command line overrides. Nothing in a project is ever read as
// settings: a repository that was cloned must not choose models, keys or what a sandbox allows.
// Plain values; RuntimeError (kUsage).
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/chat.h"

namespace corvid::runtime {

struct SamplingSettings {
  std::optional<double> temperature, top_p, min_p;  // empty: the model's own
};

struct SandboxSettings {
  bool enabled = true;
  bool network = false;
  bool ask = true;                    // the user, for what this does not allow
  std::vector<std::string> hosts;     // reached through a proxy while `network` is false
  std::vector<std::string> writable;  // folders besides the workspace; may start with ~/
};

struct RemoteSettings {
  using Duration = std::chrono::milliseconds;
  std::string key_variable;  // empty: the usual ones
  std::string dialect;       // empty: found out
  std::string reasoning;     // "turn", "always", "never"; empty: by the model's name
  std::string ca_file;       // may start with ~/
  int max_tokens = 0;        // 0: the server's default
  int context_tokens = 0;    // 0: as the server says
  int reply_limit_bytes = 2 << 20;
  Duration connect_deadline = std::chrono::seconds(4);
  Duration retry_deadline = std::chrono::seconds(4);
  Duration first_token_deadline = std::chrono::minutes(10);
  Duration stall_deadline = std::chrono::minutes(2);
  Duration reply_deadline = std::chrono::hours(6);
};

struct Settings {
  std::string model;             // file or URL; empty: the built-in one
  std::string backend = "auto";  // of a local model; see model/compute/make_backend.h
  model::Thinking thinking = model::Thinking::on;
  int max_steps = 50;
  SamplingSettings sampling;
  SandboxSettings sandbox;
  RemoteSettings remote;
};

// A file that does not exist gives the defaults.
Settings load_settings(const std::filesystem::path& file);
// The same from text; `name` is for messages.
Settings parse_settings(const std::string& text, const std::string& name);

// `settings` as a settings file: every key with what it means, defaults commented out.
std::string print_settings(const Settings& settings);

std::filesystem::path settings_file();  // config.toml in the configuration folder
std::filesystem::path key_file();       // `keys` beside it
std::filesystem::path expand_home(const std::string& path);

}  // namespace corvid::runtime
