// corvid plugins list|add|trust|login|logout|check|new|remove: the plugins that sessions get.
#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>

#include "plugins/browser.h"
#include "plugins/error.h"
#include "plugins/manifest.h"
#include "plugins/mcp_server.h"
#include "plugins/mcp_trust.h"
#include "plugins/oauth_store.h"
#include "runtime/commands.h"
#include "runtime/error.h"
#include "runtime/plugin_folders.h"
#include "tools/text.h"
#include "tools/toolbox.h"

namespace corvid::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLuaTemplate =
#include "runtime/new_plugin.lua.inc"
    ;

constexpr const char* kShellTemplate =
#include "runtime/new_plugin.json.inc"
    ;

// What a stranger wrote must not reach the terminal as control characters.
void print_info(const plugins::PluginInfo& info) {
  const auto visible = [](const std::string& text) { return tools::visible_name(text); };
  std::printf("%s  %s\n", visible(info.name).c_str(), visible(info.description).c_str());
  if (!info.problem.empty()) std::printf("  not loaded: %s\n", visible(info.problem).c_str());
  const auto print_list = [&](const char* what, const std::vector<std::string>& names) {
    std::string line;
    for (const std::string& name : names) line += (line.empty() ? "" : ", ") + visible(name);
    if (!line.empty()) std::printf("  %s: %s\n", what, line.c_str());
  };
  print_list("tools", info.tools);
  print_list("hooks", info.hooks);
  print_list("needs", info.needs);
  std::printf("  %s\n", visible(info.folder.string()).c_str());
}

// A tool may not take the name of a built-in one: the toolbox says so, as in a session.
int list() {
  boost::asio::io_context io;
  const fs::path here = fs::canonical(fs::current_path());
  plugins::PluginSet plugins(session_plugins(here), {io.get_executor(), {}, {}});
  tools::Toolbox toolbox;
  for (auto& tool : tools::builtin_tools()) toolbox.add(std::move(tool));
  plugins.add_tools(toolbox);
  const auto infos = plugins.infos();
  for (const plugins::PluginInfo& info : infos) print_info(info);
  if (infos.empty()) {
    std::printf(
        "No plugins yet. `corvid plugins add git` adds one that comes with Corvid; there "
        "are git, tests and todo.\n");
  }
  std::vector<std::string> notices = project_notices(here);
  const auto servers = mcp_servers({}, here, notices);
  for (const plugins::McpServerSpec& server : servers) {
    std::printf("%s  MCP server%s\n  %s\n", server.name.c_str(),
                server.trusted ? "" : " of this project",
                tools::visible_name(server.shown).c_str());
  }
  for (const std::string& notice : notices) {
    std::printf("%s\n", tools::visible_name(notice).c_str());
  }
  return kOk;
}

// Many a project has folders named git or tests: those are ./git and ./tests.
fs::path place_of(const std::string& what) {
  const fs::path shipped = shipped_plugin(what);
  return shipped.empty() ? fs::path(what) : shipped;
}

int add(const std::string& what) {
  try {
    fs::create_directories(plugins_folder());
    print_info(plugins::add_plugin(place_of(what), plugins_folder()));
    return kOk;
  } catch (const plugins::PluginError& problem) {
    throw RuntimeError("The plugin " + what + " was not added: " + problem.what(), kUsage);
  }
}

// Of this project: a plugin as it is now, or an MCP server as it stands in a file.
int trust(const std::string& name, const std::vector<std::string>& mcp_files) {
  const fs::path here = fs::canonical(fs::current_path());
  for (const plugins::ProjectPlugin& plugin : project_plugins(here)) {
    if (plugin.name != name) continue;
    try {
      fs::create_directories(agreed_plugins_folder(here));
      print_info(plugins::add_plugin(plugin.folder, agreed_plugins_folder(here)));
      return kOk;
    } catch (const plugins::PluginError& problem) {
      throw RuntimeError("The plugin " + name + " cannot be used: " + problem.what(), kUsage);
    }
  }
  std::vector<std::string> notices;
  for (const plugins::McpServerSpec& server : mcp_servers(mcp_files, here, notices)) {
    if (server.name != name) continue;
    plugins::McpTrust(server.memory, server.entry).renew();
    std::printf("%s is used with the tools that it lists next: %s\n", name.c_str(),
                tools::visible_name(server.shown).c_str());
    return kOk;
  }
  throw RuntimeError("Neither a plugin of this project nor an MCP server is named " + name + ".",
                     kUsage);
}

plugins::McpServerSpec find_server(const std::string& name,
                                   const std::vector<std::string>& mcp_files) {
  std::vector<std::string> notices;
  auto servers = mcp_servers(mcp_files, fs::canonical(fs::current_path()), notices);
  for (plugins::McpServerSpec& server : servers) {
    if (server.name == name) return std::move(server);
  }
  for (const std::string& notice : notices) {
    std::fprintf(stderr, "%s\n", tools::visible_name(notice).c_str());
  }
  throw RuntimeError("No MCP server is named " + name + ".", kUsage);
}

// The token goes into a file; nothing of it is printed.
int login(const std::string& name, const std::vector<std::string>& mcp_files) {
  boost::asio::io_context io;
  plugins::McpServer server(find_server(name, mcp_files), {});
  plugins::ShowUrl show = [](const std::string& url) {
    std::printf("To log in, open this in your browser:\n%s\n", url.c_str());
    std::fflush(stdout);
    plugins::open_in_browser(url);
  };
  std::exception_ptr failure;
  std::string issuer;
  boost::asio::co_spawn(io, server.log_in(std::move(show)),
                        [&](std::exception_ptr error, std::string value) {
                          failure = error;
                          issuer = std::move(value);
                          io.stop();
                        });
  io.run();
  try {
    if (failure) std::rethrow_exception(failure);
  } catch (const plugins::PluginError& problem) {
    throw RuntimeError("You are not logged in to " + name + ": " +
                       tools::visible_name(server.redacted(problem.what())));
  }
  std::printf("Logged in to %s by %s.\n", name.c_str(), tools::visible_name(issuer).c_str());
  return kOk;
}

int logout(const std::string& name, const std::vector<std::string>& mcp_files) {
  const plugins::McpServerSpec server = find_server(name, mcp_files);
  const int n = plugins::OAuthStore(server.logins).forget(server.url);
  std::printf(n > 0 ? "Forgot the login to %s.\n" : "There is no login to %s.\n", name.c_str());
  return kOk;
}

int check(const std::string& what) {
  boost::asio::io_context io;
  fs::path folder = fs::absolute(place_of(what)).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  const plugins::Plugin plugin = plugins::load_plugin(folder, {io.get_executor(), {}, {}});
  print_info(plugin.info);
  return plugin.info.problem.empty() ? kOk : kFailed;
}

int make(const std::string& name, bool shell) {
  if (!plugins::is_plugin_name(name)) {
    throw RuntimeError("A plugin's name has a-z, 0-9, - and _, at most 32.", kUsage);
  }
  if (fs::exists(name)) throw RuntimeError("There is a " + name + " here already.", kUsage);
  fs::create_directory(name);
  const fs::path file = fs::path(name) / (shell ? "plugin.json" : "plugin.lua");
  std::ofstream out(file);
  out << (shell ? kShellTemplate : kLuaTemplate) << '\n';
  out.close();
  if (!out) throw RuntimeError("cannot write " + file.string());
  std::printf("Made %s. Change it, then: corvid plugins check %s; corvid plugins add %s\n",
              file.c_str(), name.c_str(), name.c_str());
  return kOk;
}

int remove(const std::string& name) {
  const fs::path folder = plugins_folder() / name;
  if (!plugins::is_plugin_name(name) || !fs::exists(folder)) {
    throw RuntimeError("There is no plugin " + name + ".", kUsage);
  }
  fs::remove_all(folder);
  std::printf("Removed %s.\n", name.c_str());
  return kOk;
}

}  // namespace

void add_plugins_command(CLI::App& app) {
  auto what = std::make_shared<std::string>();
  auto shell = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("plugins", "See, add, check and make plugins");
  command->require_subcommand(0, 1);
  command->callback([command] {
    if (command->get_subcommands().empty()) throw CLI::RuntimeError(list());
  });
  command->add_subcommand("list", "The plugins that sessions get, and what is wrong with any")
      ->callback([] { throw CLI::RuntimeError(list()); });
  CLI::App* adding = command->add_subcommand(
      "add", "Copy a plugin to your own, over an older one: a folder, or git, tests, todo");
  adding->add_option("plugin", *what, "Folder or name")->required();
  adding->callback([what] { throw CLI::RuntimeError(add(*what)); });
  CLI::App* trusting = command->add_subcommand(
      "trust", "Use a plugin or an MCP server of this project here, as it is now");
  trusting->add_option("name", *what, "Its name")->required();
  auto files = std::make_shared<std::vector<std::string>>();
  trusting->add_option("--mcp", *files, "A file that names the server")->option_text("FILE");
  trusting->callback([what, files] { throw CLI::RuntimeError(trust(*what, *files)); });
  CLI::App* logging_in =
      command->add_subcommand("login", "Log in to an MCP server, in your browser (OAuth)");
  logging_in->add_option("name", *what, "Its name")->required();
  logging_in->add_option("--mcp", *files, "A file that names the server")->option_text("FILE");
  logging_in->callback([what, files] { throw CLI::RuntimeError(login(*what, *files)); });
  CLI::App* logging_out = command->add_subcommand("logout", "Forget the login to an MCP server");
  logging_out->add_option("name", *what, "Its name")->required();
  logging_out->add_option("--mcp", *files, "A file that names the server")->option_text("FILE");
  logging_out->callback([what, files] { throw CLI::RuntimeError(logout(*what, *files)); });
  CLI::App* checking = command->add_subcommand("check", "Load a plugin and say what it brings");
  checking->add_option("plugin", *what, "Folder or name")->required();
  checking->callback([what] { throw CLI::RuntimeError(check(*what)); });
  CLI::App* making = command->add_subcommand("new", "Start a plugin in a new folder here");
  making->add_option("name", *what, "Its name")->required();
  making->add_flag("--shell", *shell, "Of commands (plugin.json); the default is Lua");
  making->callback([what, shell] { throw CLI::RuntimeError(make(*what, *shell)); });
  CLI::App* removing = command->add_subcommand("remove", "Remove a plugin that was added");
  removing->add_option("name", *what, "Its name")->required();
  removing->callback([what] { throw CLI::RuntimeError(remove(*what)); });
}

}  // namespace corvid::runtime
