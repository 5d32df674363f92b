// What files, processes and models say, through the pure parts of the tools.
#include <cstdlib>
#include <tuple>
#include <vector>

#include "tools/edit_text.h"
#include "tools/glob.h"
#include "tools/lines.h"
#include "tools/regex.h"
#include "tools/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace corvid::tools;
  // Three texts with zero bytes between them.
  std::vector<std::string_view> parts;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (parts.size() < 2 && rest.find('\0') != std::string_view::npos) {
    parts.push_back(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(parts.back().size() + 1);
  }
  parts.push_back(rest);
  while (parts.size() < 3) parts.push_back({});
  const auto [a, b, c] = std::tie(parts[0], parts[1], parts[2]);

  const std::string clean = escape_invalid(a);
  if (escape_invalid(clean) != clean) std::abort();
  Utf8Stream stream;
  std::string streamed;
  for (const char byte : a) streamed += stream.push(std::string_view(&byte, 1));
  streamed += stream.finish();
  if (escape_invalid(streamed) != streamed) std::abort();
  if (cut_middle(clean, 200).size() > 200) std::abort();

  const Replacement replaced = replace_text(a, b, c);
  // Where all lines end with CRLF, so do those of the other two texts.
  if (replaced.kind == Replacement::Kind::exact && a.find('\r') == a.npos &&
      replaced.text.size() + b.size() != a.size() + c.size()) {
    std::abort();
  }
  closest_region(a, b);
  std::string joined;
  for (const Line& line : split_lines(a)) joined += std::string(line.text) + std::string(line.end);
  if (joined != a) std::abort();

  glob_matches(b, a);
  path_fits(b, a);
  IgnoreRules rules;
  rules.add(b, "");
  rules.ignores(a, false);
  auto compiled = Regex::compile(b);
  if (Regex* regex = std::get_if<Regex>(&compiled)) {
    const auto at = regex->find(a);
    if (at && *at > a.size()) std::abort();
  }
  return 0;
}
