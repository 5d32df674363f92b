// A request and its answer as HTTP has them: plain values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corvid::runtime {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method, path, query;
  HttpHeaders headers;
  std::string body;

  // By its name in lower case; empty when there is none. nullopt: it is there several times.
  std::optional<std::string_view> header(std::string_view name) const;
};

struct HttpAnswer {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  HttpHeaders headers = {};
};

}  // namespace corvid::runtime
