// The user's browser, where there is a user: at a terminal. The address is one argument of a
// program; no shell sees it. io thread.
#pragma once

#include <string>

namespace corvid::plugins {

// `url` has passed url_problem(). Whether it worked shows on the user's screen alone.
void open_in_browser(const std::string& url);

}  // namespace corvid::plugins
