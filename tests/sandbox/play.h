// What the sandbox tests share: files of a scratch folder and running one command to its end.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "sandbox/sandbox.h"
#include "tests/scratch_folder.h"

namespace corvid::sandbox {

inline std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void put(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline ProcessSpec shell(std::string command) {
  ProcessSpec spec;
  spec.argv = {"bash", "-c", std::move(command)};
  return spec;
}

inline ProcessResult run(Sandbox& sandbox, ProcessSpec spec) {
  asio::io_context io;
  ProcessResult result;
  std::exception_ptr failure;
  asio::co_spawn(io, sandbox.run(std::move(spec)),
                 [&](std::exception_ptr error, ProcessResult value) {
                   failure = error;
                   result = std::move(value);
                 });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return result;
}

inline std::unique_ptr<Sandbox> plain(const std::filesystem::path& workspace) {
  Policy policy = default_policy(workspace);
  policy.mode = Policy::Mode::off;
  return make_sandbox(policy);
}

}  // namespace corvid::sandbox
