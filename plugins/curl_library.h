// libcurl, loaded when the first request is made.
//
// Linked in the ordinary way, libcurl and the thirty libraries it needs would cost every start of
// the program 3 ms and 8 MB, also `--version` and local models. So its functions are looked up
// once, by name, with the types that its header declares. Any thread.
#pragma once

#include <curl/curl.h>

namespace corvid::plugins {

struct CurlLibrary {
#define CORVID_CURL_FUNCTIONS(X)                                                             \
  X(global_init)                                                                             \
  X(slist_append)                                                                            \
  X(slist_free_all)                                                                          \
  X(easy_init) X(easy_setopt) X(easy_getinfo) X(easy_strerror) X(easy_cleanup) X(multi_init) \
      X(multi_setopt) X(multi_add_handle) X(multi_remove_handle) X(multi_socket_action)      \
          X(multi_info_read) X(multi_cleanup)
#define CORVID_CURL_DECLARE(name) decltype(&::curl_##name) name = nullptr;
  CORVID_CURL_FUNCTIONS(CORVID_CURL_DECLARE)
#undef CORVID_CURL_DECLARE
};

// Throws PluginError when the library is not installed.
const CurlLibrary& curl();

}  // namespace corvid::plugins
