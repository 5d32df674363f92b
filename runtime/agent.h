// A session with everything it needs, put together: model, tools, sandbox, journal, io.
//
// Made new or from the journal; used by the commands and by the interactive terminal. One thread
// (the one that calls io().run()) is the io thread of all its parts. The constructor loads a local
// model, which may take a while; nothing is sent to a remote one before the first prompt. Throws
// RuntimeError, ModelError, MemoryError or SandboxError with what to do.
#pragma once

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/journal.h"
#include "model/compute/gpu_options.h"
#include "runtime/approvals.h"
#include "runtime/session.h"
#include "runtime/settings.h"

namespace corvid::runtime {

struct AgentOptions {
  Settings settings;              // what the command line says is in them
  std::string model;              // file or URL; empty: the session's own, or as the settings say
  model::GpuOptions gpu;          // of a local model
  std::string chat_format;        // of a local model; empty: the session's own, or the file's
  std::filesystem::path cwd;      // the workspace; empty: the session's own, or the current folder
  std::optional<std::string> id;  // of a journaled session (a prefix; empty: the last one)
  std::function<void(double fraction)> on_loading;  // while a local model is read
  std::vector<std::string> mcp_files;               // of servers that the user trusts
};

class Agent {
 public:
  explicit Agent(AgentOptions options);
  ~Agent();

  asio::io_context& io();
  Session& session();
  EventBus& events();
  const Dialogue& dialogue() const;
  tools::ToolContext& tool_context();
  Approvals& approvals();                 // by default nobody is asked
  std::vector<std::string> jobs() const;  // of the session, that run in the background
  const memory::SessionInfo& info() const;

  // Adds a sink and tells it how the session begins: what it is, and what people should know.
  void begin(EventSink& sink);

  // One prompt from start to end, for programs that do nothing else: runs io(). Ctrl-C once stops
  // the turn and keeps everything, twice leaves at once.
  Outcome run(std::string prompt);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::runtime
