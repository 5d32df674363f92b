#include "sandbox/lua_vm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

namespace corvid::sandbox {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

LuaResult run(std::string_view source, LuaLimits limits = {}) {
  return LuaVm(limits).run(source, "script");
}

std::string values(std::string_view source) {
  const LuaResult result = run(source);
  return result.error.empty() ? result.values : "error: " + result.error;
}

TEST(LuaVm, AScriptComputesAndPrints) {
  const LuaResult result =
      run("print('a', 1, 2.5, nil) return 1 + 1, 'x', {1, 2}, {b = 1, a = {}}");
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.printed, "a\t1\t2.5\tnil\n");
  EXPECT_EQ(result.values, R"([2,"x",[1,2],{"a":{},"b":1}])");
}

TEST(LuaVm, AnErrorNamesTheLine) {
  EXPECT_EQ(run("\nerror('bad')").error, "script:2: bad");
  EXPECT_EQ(run("x = ").error, "script:1: unexpected symbol near <eof>");
  EXPECT_EQ(run("error({})").error, "an error that is a table");
  EXPECT_EQ(run("error(setmetatable({}, {__tostring = function() while true do end end}))").error,
            "an error that is a table");
}

TEST(LuaVm, WhatReachesOutsideIsNotThere) {
  for (const char* name :
       {"os", "io", "debug", "package", "require", "dofile", "loadfile", "warn", "string.dump"}) {
    EXPECT_EQ(values("return " + std::string(name) + " == nil"), "[true]") << name;
  }
}

TEST(LuaVm, BytecodeIsNotLoaded) {
  EXPECT_THAT(values("return load('\\27Lua')"), HasSubstr("attempt to load a binary chunk"));
  EXPECT_THAT(values("return load('\\27Lua', 'x', 'b')"), HasSubstr("binary chunk"));
  EXPECT_THAT(run("\x1BLua").error, HasSubstr("binary chunk"));
  EXPECT_EQ(values("return load('return 1 + 1')()"), "[2]");
  EXPECT_EQ(values("return load('return x', 'n', 't', {x = 7})()"), "[7]");
  EXPECT_THAT(values("load(function() return 'x' end)"), HasSubstr("load takes a string"));
}

TEST(LuaVm, ErrorsAndCoroutinesWorkAsInLua) {
  EXPECT_EQ(values("return pcall(error, 'x')"), R"([false,"x"])");
  EXPECT_EQ(values("return xpcall(function() error('x', 0) end, string.upper)"), R"([false,"X"])");
  EXPECT_EQ(values("return select('#', xpcall(function(...) return ... end, print, 1, 2))"), "[3]");
  EXPECT_EQ(values("local f = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b "
                   "end) return f(1), f(5)"),
            "[2,5]");
  EXPECT_EQ(values("return pcall(coroutine.wrap(function() error('x', 0) end))"), R"([false,"x"])");
  EXPECT_EQ(values("local co = coroutine.create(function() return pcall(coroutine.yield, 3) end) "
                   "local a, b = coroutine.resume(co) local c, d, e = coroutine.resume(co, 4) "
                   "return a, b, c, d, e"),
            "[true,3,true,true,4]");
  EXPECT_EQ(values("local t = {} do local x <close> = setmetatable({}, {__close = function() "
                   "t[1] = 1 end}) end return t"),
            "[[1]]");
}

// The same results as the reference manual's functions give.
TEST(LuaVm, PatternsWorkAsInLua) {
  const std::pair<const char*, const char*> cases[] = {
      {"('hello world'):find('o w')", "[5,7]"},
      {"('hello'):find('l', 1, true)", "[3,3]"},
      {"('a.b'):find('.', 2, true)", "[2,2]"},
      {"('hello'):find('')", "[1,0]"},
      {"('hello'):find('', 6)", "[6,5]"},
      {"('hello'):find('', 7)", "[null]"},
      {"('hello'):find('l+')", "[3,4]"},
      {"('hello'):find('(l)(l)')", R"([3,4,"l","l"])"},
      {"('hello'):find('xyz')", "[null]"},
      {"('hello'):match('^h(.-)o$')", R"(["ell"])"},
      {"('  trim  '):match('^%s*(.-)%s*$')", R"(["trim"])"},
      {"('key = value'):match('^(%w+)%s*=%s*(%w+)$')", R"(["key","value"])"},
      {"('f(a(b)c)d'):match('%b()')", "[\"(a(b)c)\"]"},
      {"('THE (quick) fox'):find('%((%a+)%)')", R"([5,11,"quick"])"},
      {"('THE (quick) fox'):gsub('%f[%a]%a+', string.lower)", R"(["the (quick) fox",3])"},
      {"('abc'):match('()b()')", "[2,3]"},
      {"('aXbXc'):gsub('X', '%0%0')", R"(["aXXbXXc",2])"},
      {"('hello world'):gsub('(%w+) (%w+)', '%2 %1')", R"(["world hello",1])"},
      {"('abc'):gsub('', '-')", R"(["-a-b-c-",4])"},
      {"('abc'):gsub('%w', {a = '1', b = true, c = false})", "error"},
      {"('abc'):gsub('%w', {a = '1', b = false})", R"(["1bc",3])"},
      {"('abc'):gsub('%w', '%%')", R"(["%%%",3])"},
      {"('abc abc'):gsub('^a', 'x')", R"(["xbc abc",1])"},
      {"('aaa'):gsub('a', 'b', 2)", R"(["bba",2])"},
      {"('\"x\" \\'y\\''):match('([\"\\'])(.-)%1')", R"(["\"","x"])"},
      {"('[[x]]'):match('[]]')", R"(["]"])"},
      {"('a-z'):match('[a%-]+')", R"(["a-"])"},
      {"('x^y'):match('[%^x]+')", R"(["x^"])"},
      {"('ab12'):match('[^%d]+')", R"(["ab"])"},
      {"('2026-11-22'):match('(%d+)-(%d+)-(%d+)')", R"(["2026","11","22"])"},
      {"('abc'):match('a?b?c?d?')", R"(["abc"])"},
      {"('a\\0b'):find('\\0')", "[2,2]"},
      {"('hello'):match('.-')", R"([""])"},
      {"('hello'):sub(2):match('.', -1)", R"(["o"])"},
      {"('x'):rep(3, ',')", R"(["x,x,x"])"},
      {"('abc'):find('b', -1)", "[null]"},
      {"('a'):match('%')", "error"},
      {"('a'):match('[a')", "error"},
      {"('a'):match('(a')", "error"},
      {"('a'):match('a)')", "error"},
      {"('a'):match('%1')", "error"},
      {"('a'):gsub('a', '%2')", "error"},
      {"('a'):gsub('a', '%x')", "error"},
  };
  for (const auto& [expression, expected] : cases) {
    const LuaResult result = run("return " + std::string(expression));
    EXPECT_EQ(result.error.empty() ? result.values : "error", expected)
        << expression << " " << result.error;
  }
  EXPECT_EQ(values("local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[k] = v end "
                   "return t"),
            R"([{"a":"1","b":"2"}])");
  EXPECT_EQ(values("local t = {} for w in ('one two'):gmatch('%a*') do t[#t + 1] = w end return t"),
            R"([["one","two"]])");
}

TEST(LuaVm, JsonGoesBothWays) {
  EXPECT_EQ(values("return json.encode({1, {a = json.null}, json.array(), {}, 1.5, true})"),
            R"(["[1,{\"a\":null},[],{},1.5,true]"])");
  EXPECT_EQ(values("return json.decode('{\"a\":[1,2.5,null,\"x\"],\"b\":[]}')"),
            R"([{"a":[1,2.5,null,"x"],"b":[]}])");
  EXPECT_EQ(values("return json.decode('9007199254740993'), math.type(json.decode('3'))"),
            R"([9007199254740993,"integer"])");
  for (const char* bad :
       {"json.encode({1, 2, x = 3})", "json.encode({[1.5] = 1})", "json.encode(0/0)",
        "json.encode(1/0)", "json.encode(print)", "json.encode('\\255')", "json.decode('{')",
        "json.decode(('['):rep(200) .. (']'):rep(200))", "json.encode({[{}] = 1})"}) {
    EXPECT_NE(run("return " + std::string(bad)).error, "") << bad;
  }
  EXPECT_THAT(run("local t = {} t.t = t return json.encode(t)").error, HasSubstr("cyclic"));
  EXPECT_THAT(run("local t = {} for i = 1, 300000 do t[i] = i end return t").error,
              HasSubstr("too many parts"));
}

TEST(LuaVm, HostFunctionsTakeAndGiveValuesAndTheirErrorsCanBeCaught) {
  LuaVm vm;
  vm.add_function("add", [](const ordered_json& arguments) -> ordered_json {
    return arguments[0].get<int>() + arguments[1].get<int>();
  });
  vm.add_function("host.fail", [](const ordered_json&) -> ordered_json {
    throw std::runtime_error("no such file");
  });
  EXPECT_EQ(vm.run("return add(1, 2)", "s").values, "[3]");
  EXPECT_EQ(vm.run("return pcall(host.fail)", "s").values, R"([false,"no such file"])");
  EXPECT_THAT(vm.run("add('x', {})", "s").error, HasSubstr("type must be number"));
  EXPECT_THAT(vm.run("add(print)", "s").error, HasSubstr("a function is not a value"));
  EXPECT_THAT(vm.run("coroutine.wrap(function() add(coroutine.running()) end)()", "s").error,
              HasSubstr("a thread is not a value"));
}

TEST(LuaVm, ReturnedFunctionsCanBeCalledLater) {
  LuaVm vm;
  const LuaResult module =
      vm.run("local n = 0 return {api = 1, count = function(a) n = n + a.by return n end}", "m");
  const int count = ordered_json::parse(module.values)[0]["count"]["$function"].get<int>();
  const ordered_json arguments = ordered_json::array({{{"by", 2}}});
  EXPECT_EQ(vm.call(count, arguments).values, "[2]");
  EXPECT_EQ(vm.call(count, arguments).values, "[4]");
  EXPECT_NE(vm.call(count + 100, arguments).error, "");
}

// --- Hostile scripts: each of them would run for ever, or take all memory. ----------------------

constexpr LuaLimits kTight{.memory_bytes = 16 << 20,
                           .steps = std::int64_t{1} << 40,
                           .time = std::chrono::milliseconds(150)};

void expect_stopped(std::string_view source) {
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
    const auto start = std::chrono::steady_clock::now();
    EXPECT_NE(run(source, kTight).error, "") << source;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << source;
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
           "return assert(load('return ' .. ('('):rep(1e5) .. '1' .. (')'):rep(1e5)))",
           "return json.decode('[' .. ('{},'):rep(1e6) .. '1]')",
           "while true do print(('x'):rep(1000)) end",
       }) {
    const LuaResult result = run(source, kTight);
    EXPECT_NE(result.error, "") << source;
  }
}

TEST(HostileLua, DeepRecursionThroughCIsALuaError) {
  for (const char* source : {
           "local function f() ('x'):gsub('x', f) end f()",
           "local function f() table.sort({2, 1}, f) end f()",
           "local mt = {} mt.__index = function(t, k) return setmetatable({}, mt)[k] end return "
           "setmetatable({}, mt).x",
           "local function f() pcall(f) f() end f()",
           "local function f() return coroutine.wrap(f)() end f()",
           "local s = ('('):rep(300) .. (')'):rep(300) return ('x'):match(s)",
       }) {
    EXPECT_NE(run(source, kTight).error, "") << source;
  }
}

TEST(HostileLua, FinalisersAndCollectorSwitchesAreRefused) {
  EXPECT_THAT(run("setmetatable({}, {__gc = function() while true do end end})").error,
              HasSubstr("__gc is not available"));
  // Set later it has no effect: Lua marks an object when the metatable is set.
  EXPECT_EQ(values("local m = {} for i = 1, 1e5 do setmetatable({}, m) m.__gc = function() error() "
                   "end m.__gc = nil end return 1"),
            "[1]");
  EXPECT_EQ(values("return collectgarbage('stop'), collectgarbage('count')"), "[0,0]");
}

TEST(HostileLua, OneMachineCannotTouchAnother) {
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
