// Text of models, tools and files made fit for a terminal.
//
// Whatever could move the cursor, set a title, reach the clipboard or turn text around is shown as
// what it is and never sent: control characters as \x1b, bidirectional and invisible ones as
// \u{202e}. Pure functions; any thread; nothing throws but bad_alloc.
#pragma once

#include <string>
#include <string_view>

namespace corvid::runtime {

enum class Care {
  prose,    // line ends, tabs and the joiners of emoji and scripts pass
  command,  // something that will be run or approved: every invisible character is shown
};

std::string shown(std::string_view text, Care care);

// How many columns `text` takes: wide characters two, combining marks none, a tab one.
int columns_of(std::string_view text);

// One line of at most `columns`: line ends and tabs become blanks, what is cut off is a "…".
std::string fitted(std::string_view text, int columns);

}  // namespace corvid::runtime
