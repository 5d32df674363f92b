// What scripts do with files: read, write, list, find and search, under the same policy and
// with the same limits as the tools of these names.
#pragma once

#include <functional>
#include <stop_token>

#include "sandbox/files.h"
#include "sandbox/lua_vm.h"

namespace corvid::tools {

// Asked at each call, on its thread.
struct LuaFiles {
  std::function<const sandbox::Files&()> files;
  std::function<std::stop_token()> stop;
};

void add_file_functions(sandbox::LuaVm& vm, LuaFiles lent);

}  // namespace corvid::tools
