// Looking through the files of a folder: names by glob, lines by regular expression.
//
// Honours .gitignore, skips .git and binary files, and is bounded in files, hits, bytes and time;
// what was left out is said. Blocking: call through offload. Outcomes are values.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "sandbox/files.h"

namespace corvid::tools {

struct SearchRequest {
  std::string pattern;  // regular expression; empty: list the files
  std::string path;     // folder or file; empty: the workspace
  std::string glob;     // files to look at; empty: all
  int max_hits = 200;
  int max_files = 100'000;
  std::chrono::milliseconds time{20'000};
};

struct SearchHit {
  std::string path;  // raw bytes, as given to reach it
  int line = 0;      // 1-based; 0: the file itself
  std::string text;  // the line, cut when long; raw bytes
};

struct SearchOutcome {
  std::vector<SearchHit> hits;
  int files = 0;                   // looked at
  std::vector<std::string> notes;  // what was left out, in sentences
};

// The error is a sentence for the model.
std::variant<SearchOutcome, std::string> search_files(const sandbox::Files& files,
                                                      const SearchRequest& request,
                                                      std::stop_token stop);

}  // namespace corvid::tools
