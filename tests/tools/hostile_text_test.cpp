// What names, bytes, arguments and patterns of strangers do where they are taken as they come, and
// what they do here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <nlohmann/json.hpp>
#include <regex>

#include "tests/scratch_folder.h"
#include "tools/arguments.h"
#include "tools/regex.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// The signal that ended the act, in a process with a small stack that is thrown away after 300 ms
// of work.
int signal_of(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGVTALRM, SIGSEGV, SIGBUS}) std::signal(signal, SIG_DFL);
    const rlimit no_core{0, 0}, small_stack{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::setrlimit(RLIMIT_STACK, &small_stack);
    const itimerval limit{{0, 0}, {0, 300'000}};
    ::setitimer(ITIMER_VIRTUAL, &limit, nullptr);
    act();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

// In a list with a name a line there is a file that does not exist.
TEST(HostileText, NamesThatForgeALine) {
  ScratchFolder folder;
  folder.put("real\nforged", "x");
  std::string plain, ours;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    plain += entry.path().filename().string() + "\n";
    ours += visible_name(entry.path().filename().string()) + "\n";
  }
  EXPECT_THAT(plain, HasSubstr("\nforged\n")) << "no harm shown";
  EXPECT_FALSE(fs::exists(folder.path() / "forged"));
  EXPECT_EQ(ours, "real\\x0aforged\n");
}

// An event with them could not be printed.
TEST(HostileText, BytesThatAreNoText) {
  const std::string bytes("a\xFF\xC3(\0z", 6);
  EXPECT_THROW(json(bytes).dump(), json::exception) << "no harm shown";
  const std::string text = escape_invalid(bytes);
  EXPECT_NO_THROW(json(text).dump());
  EXPECT_THAT(text, HasSubstr("\\xff\\xc3("));
}

// A tool that takes what it finds throws, or works on what was not meant.
TEST(HostileText, ArgumentsOfTheWrongShape) {
  const ArgumentSchema schema(
      R"({"type":"object","properties":{"path":{"type":"string"},"lines":{"type":"integer"}},
          "required":["path"],"additionalProperties":false})");
  EXPECT_THROW(json::parse(R"({"path":7})")["path"].get<std::string>(), json::exception);
  EXPECT_EQ(json::parse(R"({"path":"a","lines":2.9})")["lines"].get<int>(), 2);
  EXPECT_EQ(json::parse(R"({"path":"a","line":5})").value("lines", 0), 0);
  for (const char* arguments : {R"({"path":7})", R"({"path":"a","lines":2.9})",
                                R"({"path":"a","line":5})", R"({"lines":1})"}) {
    EXPECT_TRUE(schema.problem(arguments)) << arguments;
  }
}

// Whoever goes down a value by calling itself runs out of stack.
TEST(HostileText, DepthWithoutEnd) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const auto walk = [](const json& value, const auto& self) -> int {
    return value.empty() ? 1 : 1 + self(value[0], self);
  };
  const auto act = [&] { ::_exit(walk(json::parse(deep), walk) & 1); };
  EXPECT_EQ(signal_of(act), SIGSEGV) << "no harm shown";
  EXPECT_THAT(ArgumentSchema("{}").problem(deep).value_or(""), HasSubstr("too deeply"));
}

// Whoever parses it first holds many times its size.
TEST(HostileText, ArgumentsWithoutEnd) {
  std::string list = "[1";
  while (list.size() < 100'000) list += ",1";
  list += "]";
  EXPECT_GT(json::parse(list).size() * sizeof(json), 5 * list.size()) << "no harm shown";
  const std::string huge = "[" + std::string(10'000'000, '1') + "]";
  EXPECT_THAT(ArgumentSchema("{}").problem(huge).value_or(""), HasSubstr("larger"));
}

TEST(HostileText, PatternsWithoutEnd) {
  const std::string text = std::string(40, 'a') + "!";
  const auto run = [&] { (void)std::regex_search(text, std::regex("^(a+)+$")); };
  EXPECT_EQ(signal_of(run), SIGVTALRM) << "no harm shown";
  Regex ours = std::get<Regex>(Regex::compile("^(a+)+$"));
  EXPECT_EQ(ours.find(text), std::nullopt);
  EXPECT_TRUE(ours.gave_up());
}

}  // namespace
}  // namespace corvid::tools
