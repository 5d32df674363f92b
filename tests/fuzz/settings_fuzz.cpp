// Any bytes as a settings file: refused with a RuntimeError, or read; and what is printed of the
// settings is a settings file that says the same.
#include <cstdint>
#include <cstdlib>

#include "runtime/error.h"
#include "runtime/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace corvid::runtime;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Settings settings;
  try {
    settings = parse_settings(text, "fuzz");
  } catch (const RuntimeError&) {
    return 0;
  }
  const std::string printed = print_settings(settings);
  if (print_settings(parse_settings(printed, "printed")) != printed) std::abort();
  return 0;
}
