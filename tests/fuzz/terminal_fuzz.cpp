// What models, tools and files say, as a terminal gets it: nothing that moves the cursor, hides or
// is no UTF-8, and no wider than it may be. The first byte of the input is the width.
#include <cstdint>
#include <cstdlib>

#include "model/text/utf8.h"
#include "runtime/terminal_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace corvid::runtime;
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const Care care : {Care::prose, Care::command}) {
    const std::string safe = shown(bytes, care);
    if (!corvid::model::is_utf8(safe) || shown(safe, care) != safe) std::abort();
    for (const unsigned char c : safe) {
      if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) std::abort();
    }
    const int columns = data[0] % 80;
    const std::string line = fitted(safe, columns);
    if (!corvid::model::is_utf8(line) || columns_of(line) > columns) std::abort();
    if (line.find_first_of("\n\t") != line.npos) std::abort();
  }
  return 0;
}
