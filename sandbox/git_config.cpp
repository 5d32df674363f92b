#include "sandbox/git_config.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace corvid::sandbox {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// git-config(1), "Syntax": sections, comments, quotes, escapes and lines that go on.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {
    if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  }

  bool read() {
    while (skip_blanks(), !text_.empty()) {
      const char c = text_.front();
      if (c == '\n') {
        text_.remove_prefix(1);
      } else if (c == '#' || c == ';') {
        text_.remove_prefix(std::min(text_.find('\n'), text_.size()));
      } else if (!(c == '[' ? section() : setting())) {
        return false;
      }
    }
    return true;
  }

  std::vector<GitSetting> settings;

 private:
  void skip_blanks() {
    while (!text_.empty() && is_blank(text_.front())) text_.remove_prefix(1);
  }

  std::string_view word() {
    const auto end = std::find_if_not(text_.begin(), text_.end(), [](unsigned char c) {
      return std::isalnum(c) || c == '-' || c == '.';
    });
    const std::string_view found = text_.substr(0, static_cast<std::size_t>(end - text_.begin()));
    text_.remove_prefix(found.size());
    return found;
  }

  // [name], [name.sub] or [name "sub"]; what follows on the line belongs to it already.
  bool section() {
    text_.remove_prefix(1);
    const std::string_view name = word();
    section_ = lower(name.substr(0, name.find('.')));
    skip_blanks();
    if (!text_.empty() && text_.front() == '"') {
      std::size_t i = 1;
      while (i < text_.size() && text_[i] != '"' && text_[i] != '\n') i += text_[i] == '\\' ? 2 : 1;
      if (i >= text_.size() || text_[i] != '"') return false;
      text_.remove_prefix(i + 1);
    }
    if (section_.empty() || text_.empty() || text_.front() != ']') return false;
    text_.remove_prefix(1);
    return true;
  }

  bool setting() {
    const std::string name = section_ + "." + lower(word());
    skip_blanks();
    if (name.ends_with('.') || section_.empty()) return false;
    std::string value;
    if (!text_.empty() && text_.front() == '=') {
      text_.remove_prefix(1);
      if (!read_value(value)) return false;
    } else if (!text_.empty() && text_.front() != '\n' && text_.front() != '#' &&
               text_.front() != ';') {
      return false;
    }
    settings.push_back({name, value});
    return true;
  }

  bool read_value(std::string& value) {
    skip_blanks();
    bool quoted = false;
    std::size_t solid = 0;  // blanks at the end do not count
    while (!text_.empty()) {
      const char c = text_.front();
      if (c == '\n' || (!quoted && (c == '#' || c == ';'))) break;
      text_.remove_prefix(1);
      if (c == '"') {
        quoted = !quoted;
      } else if (c == '\\') {
        if (!escape(value)) return false;
      } else {
        value += c;
      }
      if (quoted || !is_blank(c)) solid = value.size();
    }
    value.resize(solid);
    return !quoted;
  }

  bool escape(std::string& value) {
    if (text_.starts_with("\r\n")) text_.remove_prefix(1);
    if (text_.empty()) return false;
    const char c = text_.front();
    text_.remove_prefix(1);
    constexpr std::string_view kNames = "tnb\\\"", kMeanings = "\t\n\b\\\"";
    if (c == '\n') return true;  // the value goes on in the next line
    const std::size_t at = kNames.find(c);
    if (at == std::string_view::npos) return false;
    value += kMeanings[at];
    return true;
  }

  std::string_view text_;
  std::string section_;
};

}  // namespace

std::optional<std::vector<GitSetting>> git_settings(std::string_view text) {
  Reader reader(text);
  if (text.find('\0') != std::string_view::npos || !reader.read()) return std::nullopt;
  return std::move(reader.settings);
}

bool is_plain_git_config(std::string_view text) {
  constexpr std::array<std::string_view, 14> kPlain = {"core.repositoryformatversion",
                                                       "core.filemode",
                                                       "core.bare",
                                                       "core.logallrefupdates",
                                                       "core.ignorecase",
                                                       "core.precomposeunicode",
                                                       "core.symlinks",
                                                       "remote.url",
                                                       "remote.fetch",
                                                       "branch.remote",
                                                       "branch.merge",
                                                       "user.name",
                                                       "user.email",
                                                       "extensions.objectformat"};
  const std::optional<std::vector<GitSetting>> settings = git_settings(text);
  return settings && std::all_of(settings->begin(), settings->end(), [&](const GitSetting& one) {
           return std::find(kPlain.begin(), kPlain.end(), one.name) != kPlain.end();
         });
}

}  // namespace corvid::sandbox
