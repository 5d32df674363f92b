// A plugin: a folder that brings tools (and, in Lua, hooks). Either plugin.lua or plugin.json says
// api = 1 and what it brings.
//
// Plain values, made by the loader at start; the tools live in the toolbox, which outlives none of
// what PluginHost names. io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/tool.h"

namespace corvid::plugins {

namespace asio = boost::asio;

inline constexpr int kApi = 1;

// What plugins get from the program.
struct PluginHost {
  asio::any_io_executor io;                      // where processes are started
  std::filesystem::path state_folder;            // one file a plugin; empty: nothing is kept
  std::function<void(std::string_view)> notice;  // for people; may be empty
};

struct PluginInfo {
  std::string name;  // of its folder
  std::filesystem::path folder;
  std::string description;
  std::vector<std::string> needs;  // "run": it starts processes (in the sandbox)
  std::vector<std::string> tools;
  std::vector<std::string> hooks;  // before_call, after_call, on_prompt, on_stop
  std::string problem;             // why it was not loaded; empty: it was
};

// A hook: when ("before_call"), what (JSON) -> JSON, empty for no change. See tools/tool.h.
using Hook = std::function<asio::awaitable<std::string>(std::string when, std::string json,
                                                        tools::ToolContext& context)>;

struct Plugin {
  PluginInfo info;
  std::vector<std::unique_ptr<tools::Tool>> tools;
  Hook hook;  // empty when it has none
};

}  // namespace corvid::plugins
