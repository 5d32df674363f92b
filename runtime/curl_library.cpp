#include "runtime/curl_library.h"

#include <dlfcn.h>

#include <string>

#include "runtime/error.h"

namespace corvid::runtime {
namespace {

#ifdef __APPLE__
constexpr const char* kFile = "libcurl.4.dylib";
#else
constexpr const char* kFile = "libcurl.so.4";
#endif

CurlLibrary load() {
  void* library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    throw RuntimeError(std::string("Remote models need libcurl: ") + dlerror() +
                           " (Debian: apt-get install libcurl4).",
                       kModelError);
  }
  CurlLibrary functions;
  const auto look_up = [&](auto& function, const char* name) {
    void* address = dlsym(library, name);
    if (!address) throw RuntimeError(std::string(kFile) + " has no " + name + ".", kModelError);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
#define CORVID_CURL_LOOK_UP(name) look_up(functions.name, "curl_" #name);
  CORVID_CURL_FUNCTIONS(CORVID_CURL_LOOK_UP)
#undef CORVID_CURL_LOOK_UP
  functions.global_init(CURL_GLOBAL_DEFAULT);
  return functions;
}

}  // namespace

const CurlLibrary& curl() {
  static const CurlLibrary functions = load();
  return functions;
}

}  // namespace corvid::runtime
