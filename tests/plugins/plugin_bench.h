// What the tests of plugins share: a workspace, a toolbox with the plugins of a folder, calls.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "plugins/loader.h"
#include "sandbox/files.h"
#include "tests/tools/workshop.h"

namespace corvid::plugins {

using nlohmann::ordered_json;

class PluginTest : public testing::Test {
 protected:
  PluginInfo load(const std::filesystem::path& folder) {
    plugins_.emplace(plugins_in(folder), PluginHost{io_.get_executor(), state_.path(), {}});
    plugins_->add_tools(*toolbox_);
    const auto infos = plugins_->infos();
    return infos.empty() ? PluginInfo{} : infos[0];
  }
  // One plugin named `name` in the folder of plugins.
  PluginInfo load_lua(const std::string& source, const std::string& name = "mine") {
    folder_.put(name + "/plugin.lua", source);
    return load(folder_.path());
  }

  tools::ToolResult call(const std::string& name, const ordered_json& arguments) {
    if (plugins_->has_hooks()) {
      context_.hook = [this](std::string_view when, std::string json) {
        return plugins_->hook(std::string(when), std::move(json), context_);
      };
    }
    return tools::finish(io_, toolbox_->run({{"call-1", name, arguments.dump()}}, context_, {}))[0];
  }

  // Plugins lie where the policy lets them be read.
  static sandbox::Policy policy_of(const std::filesystem::path& workspace,
                                   const std::filesystem::path& plugins) {
    sandbox::Policy policy = sandbox::default_policy(workspace);
    policy.readable.push_back(plugins);
    return policy;
  }

  ScratchFolder workspace_, folder_, state_;
  asio::io_context io_;
  asio::thread_pool pool_{2};
  sandbox::Policy policy_ = policy_of(workspace_.path(), folder_.path());
  std::unique_ptr<sandbox::Sandbox> sandbox_ = sandbox::make_sandbox(policy_);
  sandbox::Files files_{policy_};
  tools::ToolContext context_{*sandbox_, files_, pool_, ""};
  std::optional<tools::Toolbox> toolbox_{std::in_place};
  std::optional<PluginSet> plugins_;
};

}  // namespace corvid::plugins
