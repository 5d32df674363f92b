// Reads the tree and holds the rules of the house: layering, the co_await rule, sizes.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path;  // relative to the root
  std::vector<std::string> lines;
};

const std::vector<std::string> kRooms = {"model",   "sandbox", "memory", "tools",
                                         "plugins", "runtime", "tests",  "examples"};

std::vector<Source> sources() {
  std::vector<Source> found;
  const fs::path root = CORVID_SOURCE_DIR;
  for (const std::string& room : kRooms) {
    if (!fs::exists(root / room)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".cpp" && extension != ".h") continue;
      Source source{fs::relative(entry.path(), root).string(), {}};
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) source.lines.push_back(line);
      found.push_back(std::move(source));
    }
  }
  return found;
}

std::string room_of(const std::string& path) {
  return path.substr(0, path.find('/'));
}

TEST(Structure, AFolderIncludesOnlyItselfAndFoldersToItsLeft) {
  const std::map<std::string, int> order = {{"model", 0}, {"sandbox", 0}, {"memory", 1},
                                            {"tools", 2}, {"plugins", 3}, {"runtime", 4},
                                            {"tests", 5}, {"examples", 5}};
  const std::regex include("^#include \"([a-z]+)/.*\"");
  for (const Source& source : sources()) {
    const std::string room = room_of(source.path);
    for (const std::string& line : source.lines) {
      std::smatch match;
      if (!std::regex_search(line, match, include) || !order.contains(match[1])) continue;
      const std::string other = match[1];
      EXPECT_TRUE(other == room || order.at(other) < order.at(room)) << source.path << ": " << line;
    }
  }
}

TEST(Structure, NoUtilCommonOrCoreFolders) {
  for (const Source& source : sources()) {
    for (const char* name : {"/util/", "/common/", "/core/"}) {
      EXPECT_EQ(source.path.find(name), std::string::npos) << source.path;
    }
  }
}

// g++ 12.2 miscompiles some co_await statements: see the house style. A statement with co_await
// contains no `{`, no capturing `[` and no `?`.
TEST(Structure, CoAwaitStatementsArePlain) {
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string& line = source.lines[i];
      const std::size_t at = line.find("co_await ");
      if (at == std::string::npos || line.find("//") < at || line.find('"') < at) continue;
      std::string statement = line.substr(at);
      for (std::size_t j = i + 1; statement.find(';') == std::string::npos &&
                                  j < source.lines.size() && j < i + 12 && !line.ends_with("{");
           ++j) {
        statement += "\n" + source.lines[j];
      }
      statement = std::regex_replace(statement, std::regex("\"[^\"]*\""), "\"\"");
      statement = statement.substr(0, statement.find(';'));
      if (statement.ends_with("{")) statement.pop_back();  // if (co_await ...) {
      EXPECT_EQ(statement.find_first_of("{?"), std::string::npos)
          << source.path << ":" << i + 1 << ": " << statement;
      EXPECT_FALSE(std::regex_search(statement, std::regex("\\[[&=a-z]")) &&
                   statement.find("](") != std::string::npos)
          << source.path << ":" << i + 1 << ": " << statement;
    }
  }
}

TEST(Structure, FilesAndLinesStaySmall) {
  for (const Source& source : sources()) {
    EXPECT_LE(source.lines.size(), 800u) << source.path;
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      std::size_t columns = 0;  // code points
      for (unsigned char c : source.lines[i]) columns += (c & 0xC0) != 0x80;
      EXPECT_LE(columns, 100u) << source.path << ":" << i + 1;
    }
  }
}

TEST(Structure, DetachedIsBanned) {
  const std::string word = std::string("asio::") + "detached";
  for (const Source& source : sources()) {
    for (const std::string& line : source.lines) {
      EXPECT_EQ(line.find(word), std::string::npos) << source.path;
    }
  }
}

// tests/hostile_cases.txt names the tests of each hostile case: all of them are there, and of five
// cases at most can all be skipped.
TEST(Structure, EveryHostileCaseHasItsTests) {
  std::map<std::string, bool> tests;  // whether it can be skipped
  const std::regex head("^TEST(?:_F|_P)?\\((\\w+), *(\\w+)\\)");
  for (const Source& source : sources()) {
    std::string test;
    for (const std::string& line : source.lines) {
      std::smatch match;
      if (line.starts_with("TEST") && std::regex_search(line, match, head)) {
        test = match[1].str() + "." + match[2].str();
        tests[test] = false;
      }
      if (!test.empty() && line.find("GTEST_SKIP") != line.npos) tests[test] = true;
      if (line == "}") test.clear();
    }
  }
  std::ifstream file(fs::path(CORVID_SOURCE_DIR) / "tests/hostile_cases.txt");
  int n_cases = 0, n_skipped = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    EXPECT_EQ(std::stoi(line), ++n_cases);
    std::istringstream names(line.substr(line.find(": ") + 1));
    int n_names = 0, n_sure = 0;
    for (std::string name; names >> name; ++n_names) {
      EXPECT_TRUE(tests.contains(name)) << name;
      n_sure += tests.contains(name) && !tests.at(name);
    }
    EXPECT_GT(n_names, 0) << line;
    n_skipped += n_sure == 0;
    std::istringstream mark(line);
    std::string number, word;
    mark >> number >> word;
    EXPECT_TRUE(word == "harm" || word == "-") << line;
  }
  EXPECT_EQ(n_cases, 85);
  EXPECT_LE(n_skipped, 5);
}

}  // namespace
