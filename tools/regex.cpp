#include "tools/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

namespace corvid::tools {
namespace {

constexpr std::size_t kMostPatternBytes = 4096;
constexpr std::uint32_t kMostSteps = 200'000;  // calls of the matcher, a few milliseconds
constexpr std::uint32_t kMostHeapKib = 4096;

template <auto free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    free(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Freer<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Freer<pcre2_compile_context_free>>;

}  // namespace

struct Regex::Parts {
  Code code;
  MatchData data;
  MatchContext limits;
  bool gave_up = false;
};

Regex::Regex(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::variant<Regex, Regex::Bad> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMostPatternBytes) {
    return Bad{"the pattern is longer than " + std::to_string(kMostPatternBytes) + " bytes"};
  }
  const CompileContext context(pcre2_compile_context_create(nullptr));
  // Repeats of repeats would compile to gigabytes.
  pcre2_set_max_pattern_length(context.get(), kMostPatternBytes);
  pcre2_set_parens_nest_limit(context.get(), 100);
  // Files hold any bytes: MATCH_INVALID_UTF lets them not match instead of failing.
  const std::uint32_t options =
      PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP;
  int problem = 0;
  std::size_t at = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options,
                          &problem, &at, context.get()));
  if (!code) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(problem, message.data(), message.size());
    return Bad{reinterpret_cast<const char*>(message.data()) +
               (" at character " + std::to_string(at))};
  }
  auto parts = std::make_unique<Parts>();
  parts->data.reset(pcre2_match_data_create(1, nullptr));
  parts->limits.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(parts->limits.get(), kMostSteps);
  pcre2_set_heap_limit(parts->limits.get(), kMostHeapKib);
  parts->code = std::move(code);
  return Regex(std::move(parts));
}

std::optional<std::size_t> Regex::find(std::string_view text) {
  const int found = pcre2_match(parts_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                text.size(), 0, 0, parts_->data.get(), parts_->limits.get());
  if (found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_HEAPLIMIT ||
      found == PCRE2_ERROR_DEPTHLIMIT) {
    parts_->gave_up = true;
  }
  if (found < 0) return std::nullopt;
  return pcre2_get_ovector_pointer(parts_->data.get())[0];
}

bool Regex::gave_up() const {
  return parts_->gave_up;
}

}  // namespace corvid::tools
