// A regular expression (PCRE2 syntax, UTF-8 aware where the text is) with bounded work.
//
// However hostile the pattern, one match costs at most a fixed number of steps and bytes; a match
// that hits the limit counts as not found and is remembered in `gave_up`. Not for several threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace corvid::tools {

class Regex {
 public:
  struct Bad {
    std::string message;  // what is wrong with the pattern, and where
  };
  static std::variant<Regex, Bad> compile(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Where the first match starts, in bytes. `text` may hold any bytes.
  std::optional<std::size_t> find(std::string_view text);
  bool gave_up() const;

 private:
  struct Parts;
  explicit Regex(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::tools
