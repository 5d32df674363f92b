#include "tools/search.h"

#include <algorithm>
#include <optional>

#include "sandbox/location.h"
#include "tools/glob.h"
#include "tools/lines.h"
#include "tools/regex.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

using sandbox::FileBytes;
using sandbox::FileError;
using sandbox::FolderEntry;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMaxFileBytes = 16 << 20;
constexpr std::uint64_t kMaxRulesBytes = 256 << 10;
constexpr int kMaxFolderEntries = 20'000;
constexpr int kMaxDepth = 100;
constexpr std::size_t kLongestLine = 300;

std::string joined(const std::string& folder, const std::string& name) {
  if (folder.empty() || folder == ".") return name;
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

// What counts above a folder that is searched.
struct Above {
  std::string place;  // of the folder below the one where the rules begin
  IgnoreRules rules;
};

class Search {
 public:
  Search(const sandbox::Files& files, const SearchRequest& request, std::optional<Regex> regex,
         std::stop_token stop)
      : files_(files),
        request_(request),
        regex_(std::move(regex)),
        stop_(std::move(stop)),
        deadline_(Clock::now() + request.time) {}

  void start(const std::string& path, const Above& above) {
    place_ = above.place;
    folder(path, "", above.rules, 0);
  }
  void file(const std::string& path, const std::string& relative);
  SearchOutcome finish();

 private:
  // `path` as the model gave it; `relative` is the same seen from the top of the search.
  void folder(const std::string& path, const std::string& relative, const IgnoreRules& above,
              int depth);
  bool full();
  void lines_of(const std::string& path, const std::string& bytes);
  void note(const std::string& sentence) {
    auto& notes = outcome_.notes;
    if (std::find(notes.begin(), notes.end(), sentence) == notes.end()) notes.push_back(sentence);
  }

  const sandbox::Files& files_;
  const SearchRequest& request_;
  std::optional<Regex> regex_;
  std::stop_token stop_;
  Clock::time_point deadline_;
  std::string place_;  // of the top of the search, for the rules
  SearchOutcome outcome_;
  int skipped_large_ = 0, skipped_denied_ = 0;
};

bool Search::full() {
  if (static_cast<int>(outcome_.hits.size()) >= request_.max_hits) {
    note("There may be more: narrow the search.");
  } else if (outcome_.files >= request_.max_files) {
    note("Stopped after " + std::to_string(request_.max_files) + " files: narrow the search.");
  } else if (stop_.stop_requested()) {
    note("Interrupted.");
  } else if (Clock::now() > deadline_) {
    note("Stopped after " + std::to_string(request_.time.count() / 1000) +
         " s: narrow the search.");
  } else {
    return false;
  }
  return true;
}

void Search::folder(const std::string& path, const std::string& relative, const IgnoreRules& above,
                    int depth) {
  const auto listed = files_.list(path.empty() ? "." : path, false, kMaxFolderEntries);
  if (std::holds_alternative<FileError>(listed)) {
    ++skipped_denied_;
    return;
  }
  const auto& entries = std::get<std::vector<FolderEntry>>(listed);
  if (static_cast<int>(entries.size()) >= kMaxFolderEntries) {
    note(visible_name(path) + " has too many entries; some were left out.");
  }
  IgnoreRules rules = above;
  const auto own = files_.read(joined(path, ".gitignore"), kMaxRulesBytes);
  if (const auto* lines = std::get_if<FileBytes>(&own)) {
    rules.add(lines->bytes, relative.empty() ? place_ : joined(place_, relative));
  }
  for (const FolderEntry& entry : entries) {
    const std::string name = entry.path.string();
    const std::string below = relative.empty() ? name : relative + "/" + name;
    if (name == ".git") continue;
    if (rules.ignores(joined(place_, below), entry.is_folder)) {
      ++outcome_.ignored;
      continue;
    }
    if (full()) return;
    if (!entry.is_folder)
      file(joined(path, name), below);
    else if (depth < kMaxDepth)
      folder(joined(path, name), below, rules, depth + 1);
    else
      note("Folders deeper than " + std::to_string(kMaxDepth) + " levels were left out.");
  }
}

void Search::file(const std::string& path, const std::string& relative) {
  const bool fits = request_.glob.empty() || path_fits(request_.glob, relative);
  if (fits || !regex_) ++outcome_.files;
  if (!fits) return;
  if (!regex_) {
    outcome_.hits.push_back({path, 0, {}});
    return;
  }
  const auto read = files_.read(path, kMaxFileBytes);
  if (const auto* error = std::get_if<FileError>(&read)) {
    skipped_denied_ += error->kind == FileError::Kind::denied;
    return;
  }
  const auto& bytes = std::get<FileBytes>(read);
  const bool binary =
      std::string_view(bytes.bytes).substr(0, 8192).find('\0') != std::string_view::npos;
  if (bytes.truncated)
    ++skipped_large_;
  else if (!binary)
    lines_of(path, bytes.bytes);
}

void Search::lines_of(const std::string& path, const std::string& bytes) {
  int number = 0;
  for (const Line& line : split_lines(bytes)) {
    ++number;
    if (number % 4096 == 0 && full()) return;
    const auto at = regex_->find(line.text);
    if (!at) continue;
    std::string_view shown = line.text;
    if (shown.size() > kLongestLine) {  // the part around the match
      shown.remove_prefix(std::min(*at > 100 ? *at - 100 : 0, shown.size() - kLongestLine));
      shown = shown.substr(0, kLongestLine);
    }
    outcome_.hits.push_back({path, number, std::string(shown)});
    if (static_cast<int>(outcome_.hits.size()) >= request_.max_hits) return;
  }
}

SearchOutcome Search::finish() {
  full();  // for what it notes
  if (skipped_large_ > 0) {
    note(std::to_string(skipped_large_) + " files of more than " +
         std::to_string(kMaxFileBytes >> 20) + " MiB were left out.");
  }
  if (skipped_denied_ > 0) note(std::to_string(skipped_denied_) + " could not be read.");
  if (regex_ && regex_->gave_up()) {
    note("The pattern took too long on some lines, which count as not matching.");
  }
  return std::move(outcome_);
}

// The folder that has the repository which `folder` lies in; empty when there is none.
std::filesystem::path repository_around(const sandbox::Files& files, std::filesystem::path folder) {
  for (;; folder = folder.parent_path()) {
    const auto read = files.read(folder / ".git", 0);
    const auto* error = std::get_if<FileError>(&read);
    if (!error || error->kind == FileError::Kind::is_folder) return folder;
    if (folder == folder.root_path()) return {};
  }
}

// What all work trees of the repository at `top` share: its `.git`, or, where that is a file, the
// folder it leads to. Source: gitrepository-layout(5).
std::filesystem::path shared_git_folder(const sandbox::Files& files,
                                        const std::filesystem::path& top) {
  constexpr std::string_view kLink = "gitdir: ";
  const auto line_of = [&](const std::filesystem::path& file) -> std::string {
    const auto read = files.read(file, kMaxRulesBytes);
    const auto* found = std::get_if<FileBytes>(&read);
    return found ? found->bytes.substr(0, found->bytes.find('\n')) : "";
  };
  std::filesystem::path folder = top / ".git";
  if (const std::string line = line_of(folder); line.starts_with(kLink)) {
    folder = top / line.substr(kLink.size());
  }
  const std::string common = line_of(folder / "commondir");
  return common.empty() ? folder : folder / common;
}

// The rules begin in the repository around the workspace, or, for a folder elsewhere, around that.
// Where they ignore the workspace itself, as those of a home folder under version control may, it
// begins there.
Above rules_above(const sandbox::Files& files, const std::filesystem::path& path) {
  const std::filesystem::path& workspace = files.policy().workspace;
  const std::filesystem::path folder = sandbox::absolute_path(files.policy(), path);
  const std::filesystem::path start = sandbox::is_beneath(folder, workspace) ? workspace : folder;
  std::filesystem::path top = repository_around(files, start);
  if (top.empty()) top = start;
  Above above;
  const auto add = [&](const std::filesystem::path& file, const std::string& place) {
    const auto read = files.read(file, kMaxRulesBytes);
    if (const auto* lines = std::get_if<FileBytes>(&read)) above.rules.add(lines->bytes, place);
  };
  add(shared_git_folder(files, top) / "info/exclude", "");
  std::filesystem::path at = top;
  for (const auto& part : folder == top ? "" : folder.lexically_relative(top)) {
    add(at / ".gitignore", above.place);
    at /= part;
    above.place = joined(above.place, part.string());
    const bool is_above = sandbox::is_beneath(start, at);
    if (is_above && above.rules.ignores(above.place, /*is_folder=*/true)) above = Above();
  }
  return above;
}

// "/a/b/*/c.h" is "*/c.h" in "/a/b", whatever the path is.
SearchRequest with_its_folder(SearchRequest request) {
  if (!request.glob.starts_with('/')) return request;
  const std::size_t special = std::min(request.glob.find_first_of("*?[{\\"), request.glob.size());
  const std::size_t slash = request.glob.rfind('/', special - 1);
  request.path = slash == 0 ? "/" : request.glob.substr(0, slash);
  request.glob = "./" + request.glob.substr(slash + 1);
  return request;
}

}  // namespace

std::variant<SearchOutcome, std::string> search_files(const sandbox::Files& files,
                                                      const SearchRequest& given,
                                                      std::stop_token stop) {
  const SearchRequest request = with_its_folder(given);
  std::optional<Regex> regex;
  if (!request.pattern.empty()) {
    auto compiled = Regex::compile(request.pattern);
    if (const auto* bad = std::get_if<Regex::Bad>(&compiled)) {
      return "bad regular expression: " + bad->message;
    }
    regex = std::move(std::get<Regex>(compiled));
  }
  Search search(files, request, std::move(regex), std::move(stop));
  const std::string path = request.path.empty() ? "." : request.path;
  const auto probe = files.read(path, 0);
  if (const auto* error = std::get_if<FileError>(&probe)) {
    if (error->kind != FileError::Kind::is_folder) return error->message;
    search.start(path == "." ? "" : path, rules_above(files, path));
  } else {
    search.file(path, path);
  }
  return search.finish();
}

std::string plural(std::size_t n, std::string_view noun) {
  const std::string_view ending = n == 1 ? "" : noun.ends_with("h") ? "es" : "s";
  return std::to_string(n) + " " + std::string(noun) + std::string(ending);
}

std::string text_of(const SearchOutcome& outcome, const std::string& counted,
                    std::size_t budget_bytes) {
  constexpr std::size_t kForTheLastLine = 400;
  std::string text;
  std::size_t shown = 0;
  for (const SearchHit& hit : outcome.hits) {
    std::string line = visible_name(hit.path);
    if (hit.line > 0) line += ":" + std::to_string(hit.line) + ":" + escape_invalid(hit.text);
    if (text.size() + line.size() + kForTheLastLine > budget_bytes) break;
    text += line + "\n";
    ++shown;
  }
  text += "[" + counted;
  if (shown < outcome.hits.size()) text += ", the first " + std::to_string(shown) + " shown";
  text += ".";
  for (const std::string& note : outcome.notes) text += " " + note;
  return text + "]";
}

}  // namespace corvid::tools
