// Looking through the files of a folder: names by glob, lines by regular expression.
//
// Honours .gitignore and .git/info/exclude, skips .git and binary files, and is bounded in files,
// hits, bytes and time; what was left out is said. Blocking: call through offload. Outcomes are
// values.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sandbox/files.h"

namespace corvid::tools {

struct SearchRequest {
  std::string pattern;  // regular expression; empty: list the files
  std::string path;     // folder or file; empty: the workspace
  std::string glob;     // files to look at, relative to `path`; empty: all. An absolute one names
                        // its own folder
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
  int files = 0;                   // looked at; where names alone are looked for: all names
  int ignored = 0;                 // names left out by .gitignore
  std::vector<std::string> notes;  // what was left out, in sentences
};

// The error is a sentence for the model.
std::variant<SearchOutcome, std::string> search_files(const sandbox::Files& files,
                                                      const SearchRequest& request,
                                                      std::stop_token stop);

// "1 file", "2 files", "0 matches".
std::string plural(std::size_t n, std::string_view noun);

// For the model: the hits, one a line and as many as fit, then what was `counted` ("3 files") and
// the notes, in brackets.
std::string text_of(const SearchOutcome& outcome, const std::string& counted,
                    std::size_t budget_bytes);

}  // namespace corvid::tools
