// A web address that a stranger gave us: what it says, and how near it may lie. Pure; any thread.
//
// Strict: http or https, a plain host name or address, and only characters that mean nothing to a
// shell or a terminal. Everything else is no address.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corvid::plugins {

struct WebUrl {
  bool secure = false;  // https
  std::string host;     // canonical; an IPv6 address without brackets
  int port = 0;
  std::string path;   // as it is written; "/" when there is none
  std::string query;  // without "?"

  std::string origin() const;  // "https://host", with the port where it is not the usual one
};
std::optional<WebUrl> parse_url(std::string_view text);

// What may be reached: the internet alone, the networks around us too, or this machine as well.
enum class Reach { internet, network, machine };
Reach reach_of(const boost::asio::ip::address& address);
// A name may still resolve to something nearer.
Reach reach_of(const WebUrl& url);

// Why an address that somebody within `reach` of us has named is not used; empty: it may be.
std::string url_problem(std::string_view text, Reach reach);

// application/x-www-form-urlencoded
using FormFields = std::vector<std::pair<std::string, std::string>>;
std::string form_encoded(std::string_view text);
std::string form(const FormFields& fields);
// A field that occurs twice, or is not encoded properly, makes it none.
std::optional<std::map<std::string, std::string>> parse_form(std::string_view text);

}  // namespace corvid::plugins
