// The program as a user starts it.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "tests/scratch_folder.h"

namespace corvid {
namespace {

struct Outcome {
  int status = -1;
  std::string out;
};

Outcome run(const std::string& arguments) {
  Outcome outcome;
  FILE* pipe = popen((std::string(CORVID_BINARY) + " " + arguments).c_str(), "r");
  if (!pipe) return outcome;
  std::array<char, 4096> buffer;
  while (std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe)) {
    outcome.out.append(buffer.data(), n);
  }
  outcome.status = WEXITSTATUS(pclose(pipe));
  return outcome;
}

TEST(CommandLine, ThatAServerHasNoKeyIsSaidBeforeItsModelIsRead) {
  const Outcome outcome = run("serve --host 0.0.0.0 --model /nowhere/model.gguf 2>&1");
  EXPECT_EQ(outcome.status, 2);
  EXPECT_NE(outcome.out.find("set a key"), std::string::npos) << outcome.out;
}

TEST(CommandLine, PrintsItsVersion) {
  Outcome outcome = run("--version");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("corvid 0.")) << outcome.out;
}

TEST(CommandLine, ListsWhatCanRunAModelAlsoWhereThereIsNoGpu) {
  setenv("VK_DRIVER_FILES", "/nonexistent", 1);
  const Outcome outcome = run("devices");
  unsetenv("VK_DRIVER_FILES");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("cpu ")) << outcome.out;
  EXPECT_NE(outcome.out.find(" GB\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("vulkan     none: "), std::string::npos) << outcome.out;
}

// Files that are no libraries stand in front of the loader.
TEST(CommandLine, RunsWhereThereIsNoVulkanLoader) {
  const ScratchFolder folder;
  folder.put("libvulkan.so.1", "");
  folder.put("libvulkan.so", "");
  setenv("LD_LIBRARY_PATH", folder.path().c_str(), 1);
  const Outcome devices = run("devices"), asked = run("run --backend vulkan hello 2>&1");
  unsetenv("LD_LIBRARY_PATH");
  EXPECT_NE(devices.out.find("vulkan     none: Vulkan is not installed"), std::string::npos)
      << devices.out;
  EXPECT_EQ(asked.status, 3);
  EXPECT_NE(asked.out.find("no GPU: Vulkan is not installed"), std::string::npos) << asked.out;
}

TEST(CommandLine, AGpuThatIsAskedForAndNotThereIsAnError) {
  setenv("VK_DRIVER_FILES", "/nonexistent", 1);
  const Outcome any = run("run --backend vulkan hello 2>&1");
  const Outcome one = run("run --backend vulkan:3 hello 2>&1");
  unsetenv("VK_DRIVER_FILES");
  for (const Outcome& outcome : {any, one}) {
    EXPECT_EQ(outcome.status, 3);
    EXPECT_NE(outcome.out.find("driver"), std::string::npos) << outcome.out;
  }
}

TEST(CommandLine, FlagsOfTheGpuAreChecked) {
  for (const char* flags : {"--gpu-experts some", "--gpu-experts -1", "--gpu-memory much"}) {
    const Outcome outcome = run(std::string("run ") + flags + " hello 2>&1");
    EXPECT_EQ(outcome.status, 2) << flags;
    EXPECT_NE(outcome.out.find("--gpu-"), std::string::npos) << outcome.out;
  }
}

TEST(CommandLine, SettingsArePrintedAsAFileAndAMistakeIsNamed) {
  const std::string home = testing::TempDir() + "/corvid-settings/corvid";
  std::filesystem::create_directories(home);
  setenv("XDG_CONFIG_HOME", (testing::TempDir() + "/corvid-settings").c_str(), 1);
  std::ofstream(home + "/config.toml") << "max_steps = 9\n";
  const Outcome printed = run("settings");
  EXPECT_EQ(printed.status, 0);
  EXPECT_NE(printed.out.find("\nmax_steps = 9\n"), std::string::npos) << printed.out;
  std::ofstream(home + "/config.toml") << "max_stepz = 9\n";
  const Outcome refused = run("settings 2>&1");
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.out.find("did you mean max_steps?"), std::string::npos) << refused.out;
  unsetenv("XDG_CONFIG_HOME");
  std::filesystem::remove_all(testing::TempDir() + "/corvid-settings");
}

// What a newcomer types wrong is answered with what to type.
TEST(CommandLine, AWrongLineIsAnsweredWithARightOne) {
  const std::pair<const char*, const char*> lines[] = {
      {"count the files", "There is no command count. To have a task done: corvid run \"...\""},
      {"rum x", "corvid has no command rum; did you mean run?"},
      {"run count the files", "`the` is one argument too many. A task of several words goes in"},
      {"run --modle x y", "corvid run has no option --modle; did you mean --model?"},
      {"run", "task is required.\nUsage: corvid run [OPTIONS] task\n"},
      {"plugins lst", "corvid plugins has no command lst; did you mean list?"},
      {"run --max-steps 0 x", "--max-steps: Value 0 not in range 1 to 100000"},
      {"run --model ftp://x x", "--model takes a GGUF file or a URL like https://host/v1"},
      {"tokenize --model http://x/v1", "http://x/v1 is a server, and here a GGUF file is needed"},
  };
  for (const auto& [line, answer] : lines) {
    const Outcome outcome = run(std::string(line) + " 2>&1 </dev/null");
    EXPECT_EQ(outcome.status, 2) << line;
    EXPECT_TRUE(outcome.out.starts_with("corvid: ")) << outcome.out;
    EXPECT_NE(outcome.out.find(answer), std::string::npos) << line << ": " << outcome.out;
  }
}

TEST(CommandLine, HelpFitsATerminalOf80Columns) {
  for (const char* command : {"", "run", "resume", "serve", "sandbox", "plugins", "logits"}) {
    std::istringstream help(run(std::string(command) + " --help").out);
    std::string line;
    while (std::getline(help, line) && line != "Examples:") {
      EXPECT_LE(line.size(), 100u) << command << ": " << line;
      if (line.starts_with("  ")) {
        EXPECT_LE(line.size(), 80u) << command << ": " << line;
      }
    }
  }
}

TEST(CommandLine, OutputThatCannotBeWrittenIsNotSuccess) {
  EXPECT_EQ(run("settings > /dev/full 2>&-").status, 1);
  EXPECT_EQ(run("settings 2>&1 | true").status, 0);
}

}  // namespace
}  // namespace corvid
