// A Lua 5.4 machine for scripts that nobody vouches for.
//
// A script has its language, strings, tables, math, utf8, coroutines, json and the functions that
// the host lends it; no os, io, debug, package, bytecode or finalisers. Memory, VM instructions,
// time and printed output are capped, also inside pcall, coroutines, __close and string patterns:
// a script that goes over is stopped and cannot catch that. Blocking: use through offload, one
// thread at a time. Throws SandboxError only when the machine cannot be made.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <string_view>

namespace corvid::sandbox {

struct LuaLimits {
  std::size_t memory_bytes = std::size_t{64} << 20;
  std::int64_t steps = 2'000'000'000;  // VM instructions and steps of pattern matching, per call
  std::chrono::milliseconds time{10'000};  // per call, host functions not counted
  std::size_t printed_bytes = std::size_t{1} << 20;
};

struct LuaResult {
  std::string error;    // empty: it went well; any bytes
  std::string values;   // JSON array of what it returned, as validated text
  std::string printed;  // any bytes
};

class LuaVm {
 public:
  // Arguments as a JSON array in, one value out. Strings may hold any bytes on both ways. What it
  // throws becomes an error in the script.
  using HostFunction = std::function<nlohmann::ordered_json(const nlohmann::ordered_json&)>;

  explicit LuaVm(LuaLimits limits = {});
  ~LuaVm();
  LuaVm(const LuaVm&) = delete;
  LuaVm& operator=(const LuaVm&) = delete;

  // A global function, or "table.name" for a member of a global table.
  void add_function(const std::string& name, HostFunction function);

  // Functions among the returned values appear as {"$function": N}: call() takes the N. Globals
  // and what they refer to live on from call to call.
  LuaResult run(std::string_view source, const std::string& chunk_name, std::stop_token stop = {});
  LuaResult call(int function, const nlohmann::ordered_json& arguments, std::stop_token stop = {});

  struct State;  // for the parts of the machine

 private:
  std::unique_ptr<State> state_;
};

}  // namespace corvid::sandbox
