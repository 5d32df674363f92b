#include "plugins/curl_library.h"

#include <dlfcn.h>

#include <string>

#include "plugins/error.h"

namespace corvid::plugins {
namespace {

#ifdef __APPLE__
constexpr const char* kFile = "libcurl.4.dylib";
#else
constexpr const char* kFile = "libcurl.so.4";
#endif

CurlLibrary load() {
  void* library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    throw PluginError(std::string("HTTP needs libcurl: ") + dlerror() +
                      " (Debian: apt-get install libcurl4).");
  }
  CurlLibrary functions;
  const auto look_up = [&](auto& function, const char* name) {
    void* address = dlsym(library, name);
    if (!address) throw PluginError(std::string(kFile) + " has no " + name + ".");
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

}  // namespace corvid::plugins
