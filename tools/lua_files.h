// The file functions that scripts get: read, write, list and search, under the same policy and
// with the same limits as the tools of these names.
#pragma once

#include <stop_token>

#include "sandbox/files.h"
#include "sandbox/lua_vm.h"

namespace corvid::tools {

// The files outlive the machine. `stop` is asked by each search.
void add_file_functions(sandbox::LuaVm& vm, const sandbox::Files& files, std::stop_token stop);

}  // namespace corvid::tools
