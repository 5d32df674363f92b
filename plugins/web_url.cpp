#include "plugins/web_url.h"

#include <algorithm>

#include "sandbox/host_filter.h"

namespace corvid::plugins {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;
constexpr std::size_t kMaxFields = 64;

bool is_letter_or_digit(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// RFC 3986's, without those that a shell gives a meaning beside "&", "?" and "~".
bool is_plain(unsigned char c) {
  constexpr std::string_view kMarks = "-._~:/?[]@&=+,%";
  return is_letter_or_digit(c) || kMarks.find(static_cast<char>(c)) != kMarks.npos;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> form_decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) return {};
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return plain;
}

}  // namespace

std::string WebUrl::origin() const {
  const bool v6 = host.find(':') != std::string::npos;
  const std::string name = v6 ? "[" + host + "]" : host;
  const bool usual = port == (secure ? 443 : 80);
  return (secure ? "https://" : "http://") + name + (usual ? "" : ":" + std::to_string(port));
}

std::optional<WebUrl> parse_url(std::string_view text) {
  if (text.size() > kMaxUrlBytes || !std::all_of(text.begin(), text.end(), is_plain)) return {};
  WebUrl url;
  url.secure = text.starts_with("https://");
  if (!url.secure && !text.starts_with("http://")) return {};
  text.remove_prefix(url.secure ? 8 : 7);
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  const auto where = sandbox::parse_host_port(text.substr(0, end), url.secure ? 443 : 80);
  if (!where) return {};
  url.host = where->host;
  url.port = where->port;
  text.remove_prefix(end);
  const std::size_t mark = std::min(text.find('?'), text.size());
  url.path = mark == 0 ? "/" : std::string(text.substr(0, mark));
  if (mark < text.size()) url.query = text.substr(mark + 1);
  return url;
}

Reach reach_of(const boost::asio::ip::address& address) {
  if (!sandbox::is_local_address(address)) return Reach::internet;
  const bool mapped = address.is_v6() && address.to_v6().is_v4_mapped();
  const bool loops =
      mapped ? boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6())
                   .is_loopback()
             : address.is_loopback();
  // What has no address, 0.0.0.0, reaches this machine, too.
  return loops || address.is_unspecified() ? Reach::machine : Reach::network;
}

Reach reach_of(const WebUrl& url) {
  if (url.host == "localhost" || url.host.ends_with(".localhost")) return Reach::machine;
  boost::system::error_code is_name;
  const auto address = boost::asio::ip::make_address(url.host, is_name);
  return is_name ? Reach::internet : reach_of(address);
}

std::string url_problem(std::string_view text, Reach reach) {
  const auto url = parse_url(text);
  if (!url) return "is no web address that Corvid uses";
  const Reach its = reach_of(*url);
  if (its > reach) {
    return its == Reach::machine ? "lies on this machine" : "lies in a private network";
  }
  if (!url->secure && its != Reach::machine) return "is not https";
  return {};
}

std::string form_encoded(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    if (is_letter_or_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += '%';
      out += kDigits[c >> 4];
      out += kDigits[c & 15];
    }
  }
  return out;
}

std::string form(const FormFields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out += (out.empty() ? "" : "&") + form_encoded(name) + "=" + form_encoded(value);
  }
  return out;
}

std::optional<std::map<std::string, std::string>> parse_form(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    const std::string_view field = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(field.size() + 1, text.size()));
    const std::size_t mark = std::min(field.find('='), field.size());
    const auto name = form_decoded(field.substr(0, mark));
    const auto value = form_decoded(field.substr(std::min(mark + 1, field.size())));
    if (!name || !value || fields.size() == kMaxFields) return {};
    if (!fields.emplace(*name, *value).second) return {};
  }
  return fields;
}

}  // namespace corvid::plugins
