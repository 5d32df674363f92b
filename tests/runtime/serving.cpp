#include "tests/runtime/serving.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <sstream>

namespace corvid::runtime {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";

std::string unchunked(std::string& bytes, const std::function<bool()>& more) {
  std::string body;
  for (;;) {
    std::size_t end;
    while ((end = bytes.find("\r\n")) == bytes.npos) {
      if (!more()) return body;
    }
    const std::size_t size = std::stoul(bytes.substr(0, end), nullptr, 16);
    while (bytes.size() < end + size + 4) {
      if (!more()) return body;
    }
    body += bytes.substr(end + 2, size);
    bytes.erase(0, end + size + 4);
    if (size == 0) return body;
  }
}

}  // namespace

std::vector<std::string> HttpResponse::events(std::string_view name) const {
  std::vector<std::string> found;
  std::istringstream lines(body);
  std::string event;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) event.clear();
    if (line.starts_with("event: ")) event = line.substr(7);
    if (line.starts_with("data: ") && (name.empty() || event == name)) {
      found.push_back(line.substr(6));
    }
  }
  return found;
}

TestClient::TestClient(int port, int receive_bytes) : port_(port) {
  socket_.open(asio::ip::tcp::v4());
  if (receive_bytes > 0) socket_.set_option(asio::socket_base::receive_buffer_size(receive_bytes));
  socket_.connect({asio::ip::address_v4::loopback(), static_cast<unsigned short>(port)});
}

void TestClient::send(std::string_view bytes) {
  boost::system::error_code ignored;  // the server may have had enough
  asio::write(socket_, asio::buffer(bytes), ignored);
}

void TestClient::request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view more_headers) {
  std::string head(method);
  head.append(" ").append(path).append(" HTTP/1.1\r\n");
  if (more_headers.find("Host:") == more_headers.npos) {
    head += "Host: 127.0.0.1:" + std::to_string(port_) + "\r\n";
  }
  if (method == "POST" && more_headers.find("Content-Type:") == more_headers.npos) {
    head += "Content-Type: application/json\r\n";
  }
  head.append(more_headers);
  if (method == "POST") head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  send(head + "\r\n" + std::string(body));
}

void TestClient::end_requests() {
  boost::system::error_code ignored;  // the server may have closed it
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

std::string TestClient::read_some() {
  char bytes[4096];
  boost::system::error_code error;
  const std::size_t n = socket_.read_some(asio::buffer(bytes), error);
  return {bytes, n};
}

void TestClient::read_until(std::string_view text) {
  while (unread_.find(text) == unread_.npos) {
    const std::string bytes = read_some();
    if (bytes.empty()) return;
    unread_ += bytes;
  }
}

HttpResponse TestClient::response() {
  const auto more = [this] {
    const std::string bytes = read_some();
    unread_ += bytes;
    return !bytes.empty();
  };
  std::size_t end;
  while ((end = unread_.find(kHeadEnd)) == unread_.npos) {
    if (!more()) return {};
  }
  HttpResponse response{std::stoi(unread_.substr(9, 3)), unread_.substr(0, end), {}};
  unread_.erase(0, end + kHeadEnd.size());
  if (response.status == 100) return this->response();
  if (response.has("chunked")) {
    response.body = unchunked(unread_, more);
    return response;
  }
  const std::size_t at = response.head.find("Content-Length: ");
  const std::size_t length = std::stoul(response.head.substr(at + 16));
  while (unread_.size() < length && more()) {
  }
  response.body = unread_.substr(0, length);
  unread_.erase(0, length);
  return response;
}

TestServer::TestServer(ServeOptions options) {
  options.port = 0;
  server_ = std::make_unique<Server>(io_.get_executor(), scripted.model, std::move(options));
  port_ = server_->port();
  thread_ = std::thread([this] { io_.run(); });
}

TestServer::~TestServer() {
  asio::post(io_, [this] { server_->stop(); });
  thread_.join();
}

void TestServer::on_io_thread(std::function<void()> change) {
  std::promise<void> done;
  auto work = [&] {
    change();
    done.set_value();
  };
  asio::post(io_, work);
  done.get_future().wait();
}

std::int64_t TestServer::rows() {
  std::int64_t rows = 0;
  on_io_thread([&] { rows = scripted.model.engine->rows_computed(); });
  return rows;
}

void TestServer::says(const model::Turn& turn, model::Thinking thinking) {
  std::vector<model::Token> tokens = scripted.tokens_of(turn);
  if (thinking == model::Thinking::off) tokens.erase(tokens.begin());  // the end of the reasoning
  on_io_thread([&] { scripted.script.push_back(tokens); });
}

void TestServer::on_token(std::function<void(int)> call) {
  on_io_thread([&] { scripted.on_token = std::move(call); });
}

HttpResponse TestServer::post(std::string_view path, const Json& body,
                              std::string_view more_headers) {
  return post_text(path, body.dump(), more_headers);
}

HttpResponse TestServer::post_held(std::string_view path, Json body, const model::Turn& reply,
                                   std::string_view text) {
  says(reply);
  Gate gate(*this, static_cast<int>(scripted.tokens_of(reply).size() / 2));
  body["stream"] = true;
  TestClient client(port_);
  client.request("POST", path, body.dump());
  client.read_until(text);
  gate.opened.set_value();
  return client.response();
}

HttpResponse TestServer::post_text(std::string_view path, std::string_view body,
                                   std::string_view more_headers) {
  TestClient client(port_);
  client.request("POST", path, body, more_headers);
  return client.response();
}

HttpResponse TestServer::get(std::string_view path, std::string_view more_headers) {
  TestClient client(port_);
  client.request("GET", path, "", more_headers);
  return client.response();
}

model::Turn saying(std::string content, std::string reasoning) {
  return {
      .stop = model::Stop::end, .reasoning = std::move(reasoning), .content = std::move(content)};
}

model::Turn calling(std::string tool, std::string arguments, std::string reasoning) {
  model::Turn turn{.stop = model::Stop::calls, .reasoning = std::move(reasoning)};
  turn.calls = {{"", std::move(tool), std::move(arguments)}};
  return turn;
}

}  // namespace corvid::runtime
