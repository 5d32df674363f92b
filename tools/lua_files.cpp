#include "tools/lua_files.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tools/search.h"

namespace corvid::tools {
namespace {

using nlohmann::ordered_json;
using sandbox::FileError;

constexpr std::uint64_t kMaxFileBytes = 16 << 20;
constexpr int kMaxEntries = 10'000;
constexpr int kMaxHits = 5'000;

std::string text_argument(const ordered_json& arguments, std::size_t i, const char* what) {
  if (i >= arguments.size() || !arguments[i].is_string()) {
    throw std::runtime_error(std::string(what) + " must be a string");
  }
  return arguments[i].get<std::string>();
}

template <typename T>
T value_or_throw(std::variant<T, FileError> outcome) {
  if (const auto* error = std::get_if<FileError>(&outcome)) {
    throw std::runtime_error(error->message);
  }
  return std::move(std::get<T>(outcome));
}

ordered_json read(const sandbox::Files& files, const ordered_json& arguments) {
  const std::string path = text_argument(arguments, 0, "path");
  auto file = value_or_throw(files.read(path, kMaxFileBytes));
  if (file.truncated) throw std::runtime_error(path + " is larger than 16 MiB");
  return std::move(file.bytes);
}

ordered_json write(const sandbox::Files& files, const ordered_json& arguments) {
  value_or_throw(
      files.write(text_argument(arguments, 0, "path"), text_argument(arguments, 1, "text")));
  return true;
}

ordered_json list(const sandbox::Files& files, const ordered_json& arguments) {
  const std::string path = arguments.empty() ? "." : text_argument(arguments, 0, "path");
  ordered_json entries = ordered_json::array();
  for (const auto& entry : value_or_throw(files.list(path, false, kMaxEntries))) {
    entries.push_back(
        {{"name", entry.path.string()}, {"is_folder", entry.is_folder}, {"size", entry.size}});
  }
  return entries;
}

// Throws the sentence when nothing could be looked for.
std::vector<SearchHit> hits_of(const sandbox::Files& files, SearchRequest request,
                               const std::stop_token& stop) {
  request.max_hits = kMaxHits;
  auto outcome = search_files(files, request, stop);
  if (const auto* error = std::get_if<std::string>(&outcome)) throw std::runtime_error(*error);
  return std::move(std::get<SearchOutcome>(outcome).hits);
}

ordered_json find(const sandbox::Files& files, const ordered_json& arguments,
                  const std::stop_token& stop) {
  SearchRequest request;
  request.glob = text_argument(arguments, 0, "glob");
  if (arguments.size() > 1) request.path = text_argument(arguments, 1, "path");
  ordered_json paths = ordered_json::array();
  for (SearchHit& hit : hits_of(files, request, stop)) paths.push_back(std::move(hit.path));
  return paths;
}

ordered_json search(const sandbox::Files& files, const ordered_json& arguments,
                    const std::stop_token& stop) {
  if (arguments.empty() || !arguments[0].is_object()) {
    throw std::runtime_error("search takes a table: {pattern=, path=, glob=}");
  }
  SearchRequest request;
  for (const auto& [key, value] : arguments[0].items()) {
    if (key != "pattern" && key != "path" && key != "glob") {
      throw std::runtime_error("search does not know `" + key + "`");
    }
    if (!value.is_string()) throw std::runtime_error("`" + key + "` must be a string");
  }
  request.pattern = arguments[0].value("pattern", "");
  request.path = arguments[0].value("path", "");
  request.glob = arguments[0].value("glob", "");
  ordered_json hits = ordered_json::array();
  for (const SearchHit& hit : hits_of(files, request, stop)) {
    ordered_json found = {{"path", hit.path}};
    if (hit.line > 0) found["line"] = hit.line, found["text"] = hit.text;
    hits.push_back(std::move(found));
  }
  return hits;
}

}  // namespace

void add_file_functions(sandbox::LuaVm& vm, LuaFiles lent) {
  vm.add_function("read", [lent](const ordered_json& a) { return read(lent.files(), a); });
  vm.add_function("write", [lent](const ordered_json& a) { return write(lent.files(), a); });
  vm.add_function("list", [lent](const ordered_json& a) { return list(lent.files(), a); });
  vm.add_function("find",
                  [lent](const ordered_json& a) { return find(lent.files(), a, lent.stop()); });
  vm.add_function("search",
                  [lent](const ordered_json& a) { return search(lent.files(), a, lent.stop()); });
}

}  // namespace corvid::tools
