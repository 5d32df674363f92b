// Path patterns: globs, and the rules of .gitignore files.
//
// `*` and `?` stay inside one name, `**` crosses folders, [a-z] is a class. Matching takes at most
// pattern x path steps, whatever the pattern. Pure values; any thread may read them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corvid::tools {

// The whole path (with `/` between names) must fit.
bool glob_matches(std::string_view pattern, std::string_view path);

// A pattern as a person means it: without a slash it is for the name in any folder ("*.cpp"), and
// {a,b} stands for both.
bool path_fits(std::string_view glob, std::string_view path);

class IgnoreRules {
 public:
  // The lines of the .gitignore file in `folder` ("" is the top, else "a/b"). Add from the top
  // down: later rules win.
  void add(std::string_view lines, std::string_view folder);

  // For a path whose parent folders are not ignored. `path` is relative to the top.
  bool ignores(std::string_view path, bool is_folder) const;

 private:
  struct Rule {
    std::string folder;   // where the rule was written, with a slash at the end, or ""
    std::string pattern;  // relative to `folder`
    bool anywhere = false;
    bool negated = false;
    bool folders_only = false;
  };
  static std::vector<Rule> parse(std::string_view lines, std::string_view folder);

  std::vector<Rule> rules_;
};

}  // namespace corvid::tools
