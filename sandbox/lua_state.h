// What the parts of a Lua machine share: its meter and the guard of C functions. Part of lua_vm.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <lua.hpp>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "sandbox/lua_vm.h"

namespace corvid::sandbox {

// Counts what a call costs. Once it says stop it says so until the next call starts.
class LuaMeter {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LuaMeter(LuaLimits limits) : limits_(limits) {}
  void start(std::stop_token stop);
  void spend(std::int64_t steps);
  bool stopped() const { return !reason_.empty(); }
  const std::string& reason() const { return reason_; }
  void pause_clock() { paused_ = Clock::now(); }
  void go_on() { deadline_ += Clock::now() - paused_; }

 private:
  LuaLimits limits_;
  std::int64_t steps_left_ = 0;
  Clock::time_point deadline_, paused_;
  std::stop_token stop_;
  std::string reason_;
};

LuaMeter& meter_of(lua_State* lua);

// Counts the steps; raises an error that no script can catch when the meter says stop.
void spend_steps(lua_State* lua, std::int64_t steps);

// Lua knows its own errors only: other exceptions become one of them.
template <lua_CFunction function>
int guarded(lua_State* lua) {
  std::string problem;
  try {
    return function(lua);
  } catch (const std::exception& error) {
    problem = error.what();
  }
  lua_pushlstring(lua, problem.data(), problem.size());
  return lua_error(lua);
}

// json.*: encode, decode, null, array. Leaves nothing on the stack.
void open_json(lua_State* lua);
enum class Functions { refuse, export_ };
// Throws std::runtime_error for what JSON cannot say: cycles, NaN, mixed keys, too much.
nlohmann::ordered_json to_json(lua_State* lua, int index, Functions functions);
void push_json(lua_State* lua, const nlohmann::ordered_json& value);

// string.find, match, gmatch and gsub with counted steps, in place of those that nothing can stop.
void open_patterns(lua_State* lua);

}  // namespace corvid::sandbox
