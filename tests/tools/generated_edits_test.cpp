// A thousand edits over real files, as models get them wrong: an edit either gives exactly the file
// that was meant, or it is refused. Never a wrong file, never a silent change of whitespace.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "tools/edit_text.h"
#include "tools/lines.h"

namespace corvid::tools {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

std::vector<Lines> real_files() {
  std::vector<Lines> files;
  for (const char* room : {"tools", "tests/tools", "runtime", "model", "memory"}) {
    for (const auto& entry : fs::directory_iterator(fs::path(CORVID_SOURCE_DIR) / room)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path());
      Lines lines;
      for (std::string line; std::getline(file, line);) lines.push_back(line);
      if (lines.size() > 10 && lines.size() < 2000) files.push_back(std::move(lines));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string joined(const Lines& lines, const std::string& end = "\n") {
  std::string out;
  for (const std::string& line : lines) out += line + end;
  return out;
}

std::string_view indentation(const std::string& line) {
  return std::string_view(line).substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

std::size_t common_indentation(const Lines& lines) {
  std::size_t common = std::string::npos;
  for (const std::string& line : lines) {
    if (!line.empty()) common = std::min(common, indentation(line).size());
  }
  return common == std::string::npos ? 0 : common;
}

// How the model saw, or remembered, the lines.
enum class Drift { none, no_indentation, deeper, tabs_to_spaces, trailing, lost_trailing, count };

Lines drifted(Lines lines, Drift drift, std::size_t common) {
  for (std::string& line : lines) {
    if (line.empty()) continue;
    if (drift == Drift::no_indentation) line.erase(0, std::min(common, indentation(line).size()));
    if (drift == Drift::deeper) line.insert(0, "    ");
    if (drift == Drift::trailing) line += "  ";
    if (drift == Drift::lost_trailing) line.erase(line.find_last_not_of(" \t") + 1);
    if (drift == Drift::tabs_to_spaces) {
      const std::size_t tabs = std::min(line.find_first_not_of('\t'), line.size());
      line.replace(0, tabs, std::string(tabs * 4, ' '));
    }
  }
  return lines;
}

// A file written with one tab for two spaces, where its indentation is even.
Lines with_tabs(Lines lines) {
  for (std::string& line : lines) {
    const std::size_t spaces = indentation(line).size();
    if (spaces % 2 == 0) line.replace(0, spaces, std::string(spaces / 2, '\t'));
  }
  return lines;
}

Lines changed(const Lines& lines, std::size_t common, const std::string& step,
              std::mt19937& random) {
  Lines fresh = lines;
  const std::size_t at = random() % fresh.size();
  const std::string indent =
      fresh[at].empty() ? std::string(common, step[0]) : std::string(indentation(fresh[at]));
  switch (random() % 4) {
    case 0:
      if (fresh[at].empty()) fresh[at] = indent;
      fresh[at] += "// caf\xC3\xA9 \xE6\xBC\xA2";
      break;
    case 1:
      fresh.insert(fresh.begin() + at, indent + "inserted();");
      break;
    case 2:
      if (fresh.size() > 1)
        fresh.erase(fresh.begin() + at);
      else
        fresh[at] += "x";
      break;
    default:
      fresh.insert(fresh.begin() + at + 1, indent + step + "deeper(\"a  b\");");
  }
  return fresh;
}

// What plain replacement gives; empty when the old text does not stand there exactly.
std::string literally_replaced(std::string text, const std::string& old, const std::string& fresh) {
  const std::size_t at = text.find(old);
  if (at == text.npos) return {};
  return text.replace(at, old.size(), fresh);
}

TEST(GeneratedEdits, AThousandEditsAreRightOrRefused) {
  const std::vector<Lines> files = real_files();
  ASSERT_GT(files.size(), 10u);
  std::mt19937 random(20261122);
  int right = 0, tolerant = 0, as_given = 0, refused = 0, refused_unique = 0;
  for (int round = 0; round < 1000; ++round) {
    Lines file = files[random() % files.size()];
    const auto drift = static_cast<Drift>(random() % static_cast<int>(Drift::count));
    if (drift == Drift::tabs_to_spaces) file = with_tabs(file);
    if (drift == Drift::lost_trailing) {
      for (std::string& line : file) line += random() % 3 == 0 ? "  " : "";
    }
    const std::string end = random() % 4 == 0 ? "\r\n" : "\n";
    const std::size_t size = 1 + random() % 6, at = random() % (file.size() - size);
    const Lines old(file.begin() + at, file.begin() + at + size);
    const std::string step = drift == Drift::tabs_to_spaces ? "\t" : "    ";
    const std::size_t common = common_indentation(old);
    Lines fresh = changed(old, common, step, random);
    const Lines old_seen = drifted(old, drift, common);
    Lines fresh_seen = drifted(fresh, drift, common);
    // Trailing spaces of new lines are the model's own.
    if (drift == Drift::trailing || drift == Drift::lost_trailing) fresh = fresh_seen;

    Lines wanted = file;
    wanted.erase(wanted.begin() + at, wanted.begin() + at + size);
    wanted.insert(wanted.begin() + at, fresh.begin(), fresh.end());
    const std::string text = joined(file, end);
    const Replacement result = replace_text(text, joined(old_seen), joined(fresh_seen));
    if (result.kind == Replacement::Kind::exact || result.kind == Replacement::Kind::tolerant) {
      ++right;
      tolerant += result.kind == Replacement::Kind::tolerant;
      const bool meant = result.text == joined(wanted, end);
      const bool as_it_stands = old_seen == old && fresh_seen == fresh;
      if (result.kind == Replacement::Kind::exact && !meant && !as_it_stands) {
        // What the model took for the old text stands there, too: it gets the text that it gave.
        const std::string literal =
            literally_replaced(text, joined(old_seen, end), joined(fresh_seen, end));
        ASSERT_EQ(result.text, literal) << "round " << round;
        ++as_given;
      } else {
        ASSERT_TRUE(meant) << "round " << round << "\n" << result.text;
      }
    } else {
      ++refused;
      refused_unique += result.lines.size() == 1;
    }
  }
  std::printf("edits: %d right (%d of them tolerant, %d as given), %d refused, 0 wrong\n", right,
              tolerant, as_given, refused);
  EXPECT_GT(right, 750);
  EXPECT_GT(tolerant, 300);
  EXPECT_LT(as_given, 40);
  EXPECT_LT(refused_unique, 60);  // a unique place, but an indentation in doubt
}

}  // namespace
}  // namespace corvid::tools
