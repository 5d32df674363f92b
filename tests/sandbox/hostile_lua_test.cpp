// Scripts that would run for ever, take all memory or reach outside: in Lua as it comes they do, in
// ours they get an error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/sandbox/run_lua.h"
#include "tests/sandbox/stock_lua.h"

namespace corvid::sandbox {
namespace {

using testing::HasSubstr;

constexpr LuaLimits kTight{.memory_bytes = 16 << 20,
                           .steps = std::int64_t{1} << 40,
                           .time = std::chrono::milliseconds(150)};

// With an error, and long before anyone would look at the clock.
void expect_stopped(const char* source) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_NE(run(source, kTight).error, "") << source;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << source;
}

// A host that takes what it is given goes round in a circle, or writes what is no JSON.
TEST(HostileLua, ValuesThatAreNoneAreRefused) {
  const std::string print =
      "local function print(v) if type(v) ~= 'table' then return tostring(v) end local s = '{' "
      "for k, w in pairs(v) do s = s .. k .. ':' .. print(w) end return s .. '}' end ";
  const std::string cycle = "local t = {} t.t = t ";
  EXPECT_THAT(in_stock_lua(print + cycle + "return print(t)"),
              testing::AnyOf("runs on", "takes memory", "an error"));
  EXPECT_EQ(in_stock_lua(print + "return print({a = 1/0})"), "{a:inf}");
  for (const std::string& source : std::vector<std::string>{
           cycle + "return t", "return {a = 1/0}", "return {[1.5] = 1}", "return {{[{}] = 1}}"}) {
    EXPECT_NE(run(source).error, "") << source;
  }
  EXPECT_EQ(values("return 9007199254740993"), "[9007199254740993]");
}

TEST(HostileLua, WhatReachesOutsideIsNotThere) {
  for (const char* name :
       {"os", "io", "debug", "package", "require", "dofile", "loadfile", "warn", "string.dump"}) {
    EXPECT_EQ(in_stock_lua("return " + std::string(name) + " ~= nil"), "true") << name;
    EXPECT_EQ(values("return " + std::string(name) + " == nil"), "[true]") << name;
  }
}

void expect_stopped(const std::string& source) {
  EXPECT_THAT(in_stock_lua(source), testing::AnyOf("runs on", "takes memory")) << source;
  const auto start = std::chrono::steady_clock::now();
  LuaVm vm(kTight);
  const LuaResult result = vm.run(source, "script");
  const auto elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_THAT(result.error, HasSubstr("stopped after 150 ms")) << source;
  EXPECT_LT(elapsed, std::chrono::seconds(20)) << source;
  EXPECT_EQ(vm.run("return 1", "after").values, "[1]") << source;  // the machine still works
}

TEST(HostileLua, EndlessLoopsAreStoppedWhereverTheyHide) {
  const std::string loop = "while true do end ";
  for (const std::string& source : std::vector<std::string>{
           loop,
           "repeat until false",
           "for i = 1, math.huge do end",
           "::a:: goto a",
           "local function f() return f() end f()",
           "while true do pcall(function() " + loop + "end) end",
           "while true do pcall(error) end",
           "xpcall(function() " + loop + "end, function() " + loop + "end)",
           "xpcall(error, function() " + loop + "end)",
           "while true do coroutine.wrap(function() " + loop + "end)() end",
           "local function f() while true do pcall(coroutine.wrap(f)) end end f()",
           "local function f() local co = coroutine.create(f) while true do coroutine.resume(co) "
           "co = coroutine.create(f) end end f()",
           "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
           "function() " +
               loop + "end}) " + loop + "end) coroutine.resume(co) coroutine.close(co)",
           "local f = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = "
           "function() " +
               loop + "end}) " + loop + "end) f()",
           "local x <close> = setmetatable({}, {__close = function() " + loop + "end}) " + loop,
           "return setmetatable({}, {__index = function() " + loop + "end}).x",
           "return #setmetatable({}, {__len = function() " + loop + "end})",
           "return tostring(setmetatable({}, {__tostring = function() " + loop + "end}))",
           "print(setmetatable({}, {__tostring = function() " + loop + "end}))",
           "return setmetatable({}, {__lt = function() " + loop + "end}) < 1",
           "table.sort({3, 2, 1}, function() " + loop + "end)",
           "('x'):gsub('x', function() " + loop + "end)",
           "load('" + loop + "')()",
           "local t = setmetatable({}, {__pairs = function() " + loop + "end}) pairs(t)",
       }) {
    expect_stopped(source);
  }
}

// No hook runs inside a C function, so each of these is stopped by its own meter.
TEST(HostileLua, EndlessCFunctionsAreStopped) {
  for (const char* source : {
           "local s = ('a'):rep(100000) while true do s:find(('.-'):rep(20) .. 'b') end",
           "return ('a'):rep(100000):find(('.-'):rep(20) .. 'b')",
           "return ('a'):rep(40):match(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
           "return ('a'):rep(100000):gsub(('a*'):rep(30) .. 'b', 'x')",
           "for _ in ('a'):rep(100000):gmatch(('a-'):rep(30) .. 'b') do end",
           "return ('('):rep(1000000):find(('%b()'):rep(5))",
           "while true do ('x'):rep(1000000):upper() end",
       }) {
    expect_stopped(source);
  }
  for (const char* source : {
           "return table.concat(setmetatable({}, {__index = table.concat}), '', 1, 2^53)",
           "table.move({}, 1, 1 << 60, 2)",
           "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)",
           "return table.unpack({}, 1, 1 << 60)",
           "return ('x'):rep(1 << 60)",
           "return string.format('%' .. ('9'):rep(60) .. 'd', 1)",
           "load(math.random)",
       }) {
    expect_stopped(source);
  }
  EXPECT_EQ(values("return (''):rep(1 << 60)"), R"([""])");
}

TEST(HostileLua, MemoryBombsGetAnError) {
  for (const char* source : {
           "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
           "local s = 'x' while true do s = s .. s end",
           "return ('x'):rep(1 << 30)",
           "local t = {} for i = 1, 1e9 do t[i] = i end",
           "return table.concat({('x'):rep(1 << 23), ('x'):rep(1 << 23), ('x'):rep(1 << 23)})",
           "return ('x'):rep(1 << 22):gsub('x', ('y'):rep(100))",
           "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
           "local function f() return f() + 1 end f()",
           "local function f(...) return f(1, ...) end f()",
           "local t = {} for i = 1, 1e6 do t = setmetatable({}, {__index = t}) end return t.x",
           "while true do print(('x'):rep(1000)) end",
       }) {
    EXPECT_THAT(in_stock_lua(source), testing::AnyOf("runs on", "takes memory")) << source;
    const LuaResult result = run(source, kTight);
    EXPECT_NE(result.error, "") << source;
  }
}

// Stock Lua climbs up the whole stack, slot by slot and each time all of it.
TEST(HostileLua, AChainOfCallsNeverGetsFarUpAStack) {
  const std::string chain =
      "local t = setmetatable({}, {}) getmetatable(t).__call = t return pcall(t)";
  EXPECT_EQ(in_stock_lua(chain), "runs on");
  for (const std::string& large : std::vector<std::string>{
           "",
           "local function deep(n) if n > 0 then return deep(n - 1) + 0 end return 0 end "
           "pcall(deep, 1e6) for i = 1, 17 do pcall(deep, 2 ^ i) end ",
           "local s = ('x'):rep(1e6) for i = 1, 20 do pcall(string.byte, s, 1, 2 ^ i // 1 | 0) "
           "pcall(utf8.codepoint, s, 1, 2 ^ i // 1 | 0) end ",
           "local t = {} for i = 1, 5e5 do t[i] = i end "
           "for i = 1, 20 do pcall(table.unpack, t, 1, 2 ^ i // 1 | 0) end ",
           "local t = {} for i = 1, 19999 do t[i] = i end local function f(...) return ... end "
           "for i = 1, 9 do pcall(f, table.unpack(t)) pcall(coroutine.wrap(f), table.unpack(t)) "
           "end "}) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(run(large + chain, kTight).error, HasSubstr("stopped after")) << large;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60)) << large;
  }
}

// Lua as it comes holds against these too; so have our own functions to.
TEST(HostileLua, DeepRecursionThroughCIsALuaError) {
  for (const char* source : {
           "return assert(load('return ' .. ('('):rep(1e5) .. '1' .. (')'):rep(1e5)))",
           "return assert(load(('a='):rep(1e5) .. 'function() ' .. ('end '):rep(1e5)))",
           "return json.decode('[' .. ('{},'):rep(1e6) .. '1]')",
           "return json.decode(('['):rep(1e6))",
           "local t = {} for i = 1, 1e5 do t = {t} end return json.encode(t)",
           "local t = {} for i = 1, 1e5 do t = {t} end return t",
           "local mt = {} mt.__concat = function(a, b) return a .. b end "
           "return setmetatable({}, mt) .. 1",
           "local mt = {} mt.__eq = function(a, b) return a == b end "
           "return setmetatable({}, mt) == setmetatable({}, mt)",
           "local mt = {} mt.__tostring = function(t) return tostring(t) end "
           "return tostring(setmetatable({}, mt))",
           "local mt = {} mt.__close = function() local x <close> = setmetatable({}, mt) end "
           "local x <close> = setmetatable({}, mt)",
           "local function f() return select(2, xpcall(error, f)) .. '' end return f()",
           "local function f() return load('return ...')(f()) .. '' end return f()",
           "local function f() ('x'):gsub('x', f) end f()",
           "local function f() table.sort({2, 1}, f) end f()",
           "local mt = {} mt.__index = function(t, k) return setmetatable({}, mt)[k] end return "
           "setmetatable({}, mt).x",
           "local function f() pcall(f) f() end f()",
           "local function f() return coroutine.wrap(f)() end f()",
           "local s = ('('):rep(300) .. (')'):rep(300) return ('x'):match(s)",
       }) {
    expect_stopped(source);
  }
}

TEST(HostileLua, WhatStockLuaLoadsIsNotLoaded) {
  const std::string bytecode = "return load(string.dump(function() return 7 end))()";
  EXPECT_EQ(in_stock_lua(bytecode), "7");
  EXPECT_THAT(run(bytecode).error, HasSubstr("dump"));
  EXPECT_THAT(run("return load('\\27Lua')() ").error, HasSubstr("nil value"));
}

TEST(HostileLua, FinalisersAndCollectorSwitchesAreRefused) {
  EXPECT_EQ(in_stock_lua("setmetatable({}, {__gc = function() while true do end end}) "
                         "collectgarbage()"),
            "runs on");
  EXPECT_EQ(in_stock_lua("collectgarbage('stop') return collectgarbage('isrunning')"), "false");
  EXPECT_THAT(run("setmetatable({}, {__gc = function() while true do end end})").error,
              HasSubstr("__gc is not available"));
  // Set later it has no effect: Lua marks an object when the metatable is set.
  EXPECT_EQ(values("local m = {} for i = 1, 1e5 do setmetatable({}, m) m.__gc = function() error() "
                   "end m.__gc = nil end return 1"),
            "[1]");
  EXPECT_EQ(values("return collectgarbage('stop'), collectgarbage('count')"), "[0,0]");
}

TEST(HostileLua, OneMachineCannotTouchAnother) {
  EXPECT_EQ(in_stock_lua("getmetatable('').__index = {evil = 7} return ('x').evil"), "7");
  LuaVm first, second;
  EXPECT_THAT(first.run("getmetatable('').__index = nil", "s").error, HasSubstr("boolean"));
  first.run("string.find = nil string.rep = nil pcall = nil json = nil _G.print = nil", "s");
  EXPECT_EQ(second.run("return ('abc'):find('b')", "s").values, "[2,2]");
  EXPECT_THAT(first.run("json.null.x = 1", "s").error, HasSubstr("index"));
  EXPECT_EQ(first.run("return 1", "s").values, "[1]");
}

TEST(HostileLua, AnInterruptStopsAScript) {
  std::stop_source stop;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  EXPECT_EQ(LuaVm().run("while true do pcall(error) end", "s", stop.get_token()).error,
            "interrupted");
}

TEST(HostileLua, TooManyStepsAreStopped) {
  EXPECT_EQ(run("while true do end", {.steps = 100'000}).error, "stopped: too many steps");
}

}  // namespace
}  // namespace corvid::sandbox
