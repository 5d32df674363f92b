#include "plugins/loader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "plugins/error.h"
#include "plugins/lua_plugin.h"
#include "plugins/manifest.h"
#include "plugins/shell_plugin.h"

namespace corvid::plugins {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::size_t kMaxSourceBytes = 1 << 20;
constexpr std::size_t kMaxFolderFiles = 1000;

// A regular file's bytes, links not followed; nothing when there is no such file.
std::optional<std::string> read_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return std::nullopt;
    throw PluginError(path.filename().string() + " cannot be read (a link is not followed)");
  }
  struct stat status {};
  std::string bytes;
  bool good = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
              static_cast<std::size_t>(status.st_size) <= kMaxSourceBytes;
  if (good) {
    bytes.resize(static_cast<std::size_t>(status.st_size));
    good = ::read(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  ::close(fd);
  if (!good) throw PluginError(path.filename().string() + " is not a file of at most 1 MiB");
  return bytes;
}

Plugin load(PluginInfo& info, const PluginHost& host) {
  if (!is_plugin_name(info.name)) {
    throw PluginError("its folder's name may have a-z, 0-9, - and _, at most 32");
  }
  if (!fs::is_directory(fs::symlink_status(info.folder))) throw PluginError("not a folder");
  const auto lua = read_file(info.folder / "plugin.lua");
  const auto json = read_file(info.folder / "plugin.json");
  if (lua && json) throw PluginError("it has both plugin.lua and plugin.json");
  if (lua) return load_lua_plugin(info, *lua, host);
  if (json) return load_shell_plugin(info, *json);
  throw PluginError("there is no plugin.lua or plugin.json");
}

Plugin failed(PluginInfo info, const std::string& problem) {
  info.problem = problem;
  info.tools.clear();
  Plugin plugin;
  plugin.info = std::move(info);
  return plugin;
}

struct Copied {
  std::string bytes;
  fs::perms mode = fs::perms::none;
  bool operator==(const Copied&) const = default;
};
using Content = std::map<std::string, Copied>;  // by path within the folder

Content content_of(const fs::path& folder) {
  Content content;
  if (!fs::is_directory(fs::symlink_status(folder))) throw PluginError("not a folder");
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const fs::file_status status = entry.symlink_status();
    const std::string name = fs::relative(entry.path(), folder).string();
    if (fs::is_directory(status)) continue;
    if (!fs::is_regular_file(status)) throw PluginError(name + " is not a file");
    if (content.size() >= kMaxFolderFiles) throw PluginError("it has more than 1000 files");
    content[name] = {read_file(entry.path()).value_or(""), status.permissions()};
  }
  return content;
}

}  // namespace

Plugin load_plugin(const fs::path& folder, const PluginHost& host) {
  PluginInfo info;
  info.folder = folder;
  info.name = folder.filename().string();
  try {
    return load(info, host);
  } catch (const std::exception& problem) {
    return failed(std::move(info), problem.what());
  }
}

std::vector<fs::path> plugins_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') && !entry.is_regular_file(error)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

PluginSet::PluginSet(const std::vector<fs::path>& folders, const PluginHost& host)
    : notice_(host.notice) {
  for (const fs::path& folder : folders) plugins_.push_back(load_plugin(folder, host));
}

std::vector<PluginInfo> PluginSet::infos() const {
  std::vector<PluginInfo> infos;
  for (const Plugin& plugin : plugins_) infos.push_back(plugin.info);
  return infos;
}

void PluginSet::add_tools(tools::Toolbox& toolbox) {
  for (Plugin& plugin : plugins_) {
    for (const auto& tool : plugin.tools) {
      if (toolbox.find(tool->spec().name) == nullptr) continue;
      plugin =
          failed(std::move(plugin.info), "there is a tool named " + tool->spec().name + " already");
      break;
    }
    for (auto& tool : plugin.tools) toolbox.add(std::move(tool));
    plugin.tools.clear();
  }
}

bool PluginSet::has_hooks() const {
  return std::any_of(plugins_.begin(), plugins_.end(),
                     [](const Plugin& plugin) { return static_cast<bool>(plugin.hook); });
}

asio::awaitable<std::string> PluginSet::hook(std::string when, std::string json,
                                             tools::ToolContext& context) const {
  ordered_json news = ordered_json::parse(json), answer = ordered_json::object();
  for (const Plugin& plugin : plugins_) {
    if (!plugin.hook) continue;
    std::string reply, problem;
    try {
      std::string now = news.dump();
      reply = co_await plugin.hook(when, std::move(now), context);
    } catch (const PluginError& error) {
      problem = "plugin " + plugin.info.name + ": " + error.what();
    }
    const bool guards = when == "before_call" || when == "on_prompt";
    if (!problem.empty() && guards) answer["deny"] = problem;
    if (!problem.empty() && !guards && notice_) notice_(problem);
    if (answer.contains("deny")) break;
    if (reply.empty()) continue;
    const ordered_json changes = ordered_json::parse(reply);
    for (const char* key : {"deny", "arguments", "result", "text", "again"}) {
      if (changes.contains(key)) answer[key] = news[key] = changes[key];
    }
    if (answer.contains("deny")) break;
  }
  co_return answer.empty() ? std::string() : answer.dump();
}

PluginInfo add_plugin(const fs::path& folder, const fs::path& destination) {
  const fs::path from = fs::absolute(folder).lexically_normal();
  const fs::path source = from.has_filename() ? from : from.parent_path();
  const Content content = content_of(source);
  asio::io_context unused;
  Plugin plugin = load_plugin(source, {unused.get_executor(), {}, {}});
  if (!plugin.info.problem.empty()) throw PluginError(plugin.info.problem);
  // Beside the old one first: a copy that fails half-way leaves that as it was.
  const fs::path target = destination / plugin.info.name;
  const fs::path fresh = destination / ("." + plugin.info.name + ".new");
  fs::remove_all(fresh);
  for (const auto& [name, file] : content) {
    fs::create_directories((fresh / name).parent_path());
    std::ofstream out(fresh / name, std::ios::binary);
    out << file.bytes;
    out.close();
    if (!out) throw PluginError("cannot write " + (fresh / name).string());
    fs::permissions(fresh / name, file.mode);
  }
  fs::remove_all(target);
  fs::rename(fresh, target);
  plugin.info.folder = target;
  return plugin.info;
}

std::vector<ProjectPlugin> project_plugins(const fs::path& project,
                                           const std::vector<fs::path>& copies) {
  using State = ProjectPlugin::State;
  std::vector<ProjectPlugin> plugins;
  for (const fs::path& folder : plugins_in(project)) {
    ProjectPlugin plugin{folder.filename().string(), folder, State::fresh, {}};
    try {
      const Content theirs = content_of(folder);
      for (const fs::path& copy : copies) {
        if (plugin.state == State::agreed || !fs::exists(copy / plugin.name)) continue;
        const bool same = content_of(copy / plugin.name) == theirs;
        plugin.state = same ? State::agreed : State::changed;
      }
    } catch (const std::exception& problem) {
      plugin.state = State::unusable;
      plugin.problem = problem.what();
    }
    plugins.push_back(std::move(plugin));
  }
  return plugins;
}

}  // namespace corvid::plugins
