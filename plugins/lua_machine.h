// The machine of one Lua plugin and what it may do while a call runs in it. Part of lua_plugin.
//
// call() is for the io thread: it waits for its turn, then runs the function on the pool. Host
// functions run on the pool's thread and reach the io thread only to start processes.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <stop_token>

#include "plugins/plugin.h"
#include "sandbox/lua_vm.h"

namespace corvid::plugins {

class LuaMachine : public std::enable_shared_from_this<LuaMachine> {
 public:
  LuaMachine(PluginInfo info, PluginHost host);

  // Runs plugin.lua; PluginError when it fails. Its value, functions as {"$function": N}.
  nlohmann::ordered_json load(std::string_view source);
  void allow_run() { may_run_ = true; }

  asio::awaitable<sandbox::LuaResult> call(int function, nlohmann::ordered_json arguments,
                                           tools::ToolContext& context);

 private:
  struct Turn;  // holds the machine for one call
  void add_functions();
  nlohmann::ordered_json run(const nlohmann::ordered_json& arguments);
  nlohmann::ordered_json state_get(const nlohmann::ordered_json& arguments) const;
  nlohmann::ordered_json state_set(const nlohmann::ordered_json& arguments);
  std::filesystem::path state_file() const;
  tools::ToolContext& context() const;

  PluginInfo info_;
  PluginHost host_;
  sandbox::LuaVm vm_;
  bool may_run_ = false;
  bool busy_ = false;
  asio::steady_timer free_;  // one waiter is woken when the machine becomes free
  // Of the call that runs now; set before it starts and read by its own thread only.
  tools::ToolContext* context_ = nullptr;
  std::stop_token stop_;
};

}  // namespace corvid::plugins
