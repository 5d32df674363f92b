// A session with everything it needs, put together: model, tools, sandbox, journal.
//
// Made new or from the journal; used by the commands, the interactive terminal and the server. The
// constructor is for the journal thread, or for before anything runs there; it loads a local model
// when there is none in common, which may take a while; nothing is sent to a remote one before the
// first prompt. Throws RuntimeError, ModelError, MemoryError or SandboxError with what to do. All
// else is for the io thread. Ends when no turn and no settling is under way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/journal.h"
#include "model/compute/gpu_options.h"
#include "runtime/approvals.h"
#include "runtime/commons.h"
#include "runtime/session.h"
#include "runtime/settings.h"

namespace corvid::runtime {

struct AgentOptions {
  Settings settings;              // what the command line says is in them
  std::string model;              // file or URL; empty: the session's own, or as the settings say;
                                  // where there is one in common it is that
  model::GpuOptions gpu;          // of a local model
  std::string chat_format;        // of a local model; empty: the session's own, or the file's
  std::filesystem::path cwd;      // the workspace; empty: the session's own, or the current folder
  std::optional<std::string> id;  // of a journaled session (a prefix; empty: the last one)
  std::function<void(double fraction)> on_loading;         // while a local model is read
  std::function<void(const std::string& text)> on_notice;  // of the engine, for the user
  std::vector<std::string> mcp_files;                      // of servers that the user trusts
  std::string asked;  // JSON text, journaled with a new session's policy; for who opens it again
  std::uint64_t owner = 0;  // likewise; only the server has others, and keeps their contexts apart
};

class Agent {
 public:
  Agent(AgentOptions options, Commons& commons);
  ~Agent();

  Session& session();
  EventBus& events();
  const Dialogue& dialogue() const;
  tools::ToolContext& tool_context();
  Approvals& approvals();                 // by default nobody is asked
  std::vector<std::string> jobs() const;  // of the session, that run in the background
  const memory::SessionInfo& info() const;
  std::int64_t steps() const;  // of the journal, when this was made

  // Adds a sink and tells it how the session begins: what it is, and what people should know.
  void begin(EventSink& sink);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::runtime
