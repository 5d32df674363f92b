// What run, resume and the interactive session have in common on the command line.
#pragma once

#include <string>
#include <vector>

#include "runtime/agent.h"

namespace CLI {
class App;
}

namespace corvid::runtime {

struct CommonFlags {
  std::string model, backend, chat_format, cwd, think;  // empty, 0: as the settings say
  std::string allow_net, sandbox;                       // empty: as the settings say
  std::vector<std::string> writable;                    // besides those of the settings
  std::vector<std::string> mcp;                         // files that name servers
  model::GpuOptions gpu;
  int max_steps = 0;
  bool json = false, stats = false;

  AgentOptions agent_options() const;  // the user's settings, overridden by these flags
};
std::string chat_format_help();
void print_notice(const std::string& text);                    // on stderr
void add_model_flags(CLI::App& command, CommonFlags& flags);   // --model to --sandbox
void add_common_flags(CLI::App& command, CommonFlags& flags);  // all of them

// What --allow-net says: "*" the whole network, else hosts with commas between them. RuntimeError.
void allow_hosts(const std::string& list, SandboxSettings& settings);

// The task as typed, or all of stdin for "-". Valid UTF-8.
std::string read_task(const std::string& argument);
// One prompt on the sinks that the flags ask for. Throws CLI::RuntimeError unless it went well.
void run_task(const CommonFlags& flags, AgentOptions options, const std::string& task);

}  // namespace corvid::runtime
