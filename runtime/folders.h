// Where Corvid keeps its things: the XDG folders of this user. Nothing is created here.
#pragma once

#include <filesystem>

namespace corvid::runtime {

std::filesystem::path home_folder();    // $HOME, else as the system knows it
std::filesystem::path config_folder();  // $XDG_CONFIG_HOME/corvid: settings, keys, AGENTS.md
std::filesystem::path data_folder();    // $XDG_DATA_HOME/corvid: sessions
std::filesystem::path state_folder();   // $XDG_STATE_HOME/corvid: input history
std::filesystem::path cache_folder();   // $XDG_CACHE_HOME/corvid: full outputs of tools

std::filesystem::path kernels_folder();  // in the cache: what a GPU's driver compiled

std::filesystem::path sessions_file();  // the journal's database

}  // namespace corvid::runtime
