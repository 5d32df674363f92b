// corvid serve: the model behind the HTTP APIs that other programs speak.
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "model/files/gguf.h"
#include "runtime/commands.h"
#include "runtime/common_flags.h"
#include "runtime/error.h"
#include "runtime/folders.h"
#include "runtime/gpu_flags.h"
#include "runtime/local_model.h"
#include "runtime/replayed_model.h"
#include "runtime/serve/server.h"

namespace corvid::runtime {
namespace {

constexpr const char* kKeyVariable = "CORVID_SERVE_KEY";
constexpr const char* kFooter = R"(
Examples:
  corvid serve                                   the built-in model, on this machine only
  corvid serve --model ~/models/V3.2.gguf        OpenAI clients: http://127.0.0.1:8080/v1
  CORVID_SERVE_KEY=... corvid serve --host 0.0.0.0
  corvid serve --model replay:                   what the model said in the last session, again

The key is what clients send as `Authorization: Bearer KEY` or `X-Api-Key: KEY`. Without one the
server listens on this machine alone. Ctrl-C ends it.)";

struct Flags {
  std::string model = kBuiltinModel, backend = "auto", chat_format, key_file;
  ServeOptions options;
  std::string kv_disk;
  std::vector<std::string> workspaces;
  int threads = 0, context = 0;
  bool log = false;
  model::GpuOptions gpu;
};

constexpr std::uint64_t kSnapshotBytes = std::uint64_t{16} << 30;

// One key a line; also the variable's.
std::vector<std::string> read_keys(const std::string& file) {
  std::vector<std::string> keys;
  if (!file.empty()) {
    std::ifstream in(file);
    if (!in) throw RuntimeError("cannot read '" + file + "'", kUsage);
    keys = keys_in(std::string(std::istreambuf_iterator<char>(in), {}));
  }
  if (const char* key = std::getenv(kKeyVariable)) keys.push_back(key);
  std::erase(keys, "");
  return keys;
}

LocalModel load_model(const Flags& flags) {
  model::EngineOptions engine{.backend = flags.backend,
                              .threads = flags.threads,
                              .max_context_tokens = flags.context,
                              .gpu = flags.gpu,
                              .on_notice = print_notice};
  engine.gpu.cache_folder = kernels_folder().string();
  if (flags.model.starts_with(kReplayPrefix)) {
    return load_replayed_model(flags.model.substr(kReplayPrefix.size()), engine);
  }
  return load_local_model(open_model_file(flags.model), engine, flags.chat_format);
}

// Where the agent's sessions may work: the current folder, and what is named besides.
std::vector<std::filesystem::path> read_workspaces(const std::vector<std::string>& named) {
  std::vector<std::filesystem::path> workspaces = {std::filesystem::current_path()};
  for (const std::string& folder : named) {
    workspaces.push_back(std::filesystem::canonical(expand_home(folder)));
  }
  return workspaces;
}

void serve(Flags flags) {
  flags.options.settings = load_settings(settings_file());
  flags.options.workspaces = read_workspaces(flags.workspaces);
  flags.options.access.keys = read_keys(flags.key_file);
  flags.options.access.hosts.push_back(flags.options.host);
  require_keys(flags.options.access, flags.options.host);
  LocalModel model = load_model(flags);
  if (!flags.kv_disk.empty()) {
    flags.options.contexts.snapshots = std::make_shared<memory::Snapshots>(
        flags.kv_disk, model.engine->fingerprint(), kSnapshotBytes);
  }
  if (flags.log) {
    flags.options.log = [](const std::string& line) { std::cerr << "corvid: " + line + "\n"; };
  }
  asio::io_context io(1);
  const std::string description = model.description;
  Server server(io.get_executor(), std::move(model), std::move(flags.options));
  std::cerr << "corvid: serving " << description << "\n"
            << "corvid: OpenAI clients: " << server.url()
            << "/v1, Anthropic clients: " << server.url() << "; Ctrl-C ends\n";
  asio::signal_set signals(io, SIGINT, SIGTERM, SIGHUP);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (error) return;
    signals.clear();  // a second one ends at once
    server.stop();
  });
  io.run();
}

}  // namespace

void add_serve_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  ServeOptions& options = flags->options;
  CLI::App* command = app.add_subcommand(
      "serve", "Offer the model to other programs, by the HTTP APIs that they speak");
  command->add_option("--host", options.host, "The address to listen on")->capture_default_str();
  command->add_option("--port", options.port, "0: any that is free")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--model", flags->model,
                   "A GGUF file, or replay:SESSION; without it the built-in model")
      ->type_name("FILE");
  command
      ->add_option("--backend", flags->backend,
                   "What computes: auto, cpu, vulkan or vulkan:N (corvid devices)")
      ->capture_default_str()
      ->type_name("NAME");
  add_gpu_flags(*command, flags->gpu);
  command->add_option("--chat-format", flags->chat_format, chat_format_help())->type_name("NAME");
  command->add_option("--contexts", options.running, "Requests that run at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command
      ->add_option("--kv-memory", options.contexts.kv_bytes,
                   "What contexts between requests may take, such as 8GB")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("BYTES");
  command
      ->add_option("--kv-disk", flags->kv_disk,
                   "A folder for contexts: conversations go on there after a restart")
      ->type_name("DIR");
  command->add_option("--context", flags->context, "Tokens of a context; 0: the model's own limit")
      ->check(CLI::Range(0, 1 << 24));
  command->add_option("--threads", flags->threads, "0: one for each core")
      ->check(CLI::Range(0, 1024));
  command
      ->add_option("--api-key-file", flags->key_file,
                   "Keys of which clients need one, one a line; also the variable CORVID_SERVE_KEY")
      ->type_name("FILE");
  command->add_option("--allow-host", options.access.hosts, "Another name of this machine")
      ->type_name("NAME");
  command
      ->add_option("--allow-origin", options.access.origins,
                   "Web pages that may use this server, such as https://app.example.com")
      ->type_name("URL");
  command
      ->add_option("--workspace", flags->workspaces,
                   "A folder that the agent's sessions may work in, besides the current one")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  command->add_flag("--log", flags->log,
                    "A line for each reply: its tokens, how many of them were known, its time");
  command->footer(kFooter);
  command->callback([flags] { serve(*flags); });
}

}  // namespace corvid::runtime
