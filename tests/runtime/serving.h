// A real server with the real engine on a free port, a script for what the model says, and a plain
// HTTP client that sends whatever bytes a test wants.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/serve/server.h"
#include "tests/runtime/scripted_model.h"

namespace corvid::runtime {

using Json = nlohmann::ordered_json;

struct HttpResponse {
  int status = 0;  // 0: the connection was closed without an answer
  std::string head, body;

  Json json() const { return Json::parse(body); }
  bool has(std::string_view text) const { return head.find(text) != head.npos; }
  // The data of all events of a stream, or of those with this name.
  std::vector<std::string> events(std::string_view name = {}) const;
};

class TestClient {
 public:
  // `receive_bytes`: of the socket's buffer; 0: as the system has it.
  explicit TestClient(int port, int receive_bytes = 0);

  void send(std::string_view bytes);
  void request(std::string_view method, std::string_view path, std::string_view body,
               std::string_view more_headers = {});
  HttpResponse response();
  std::string read_some();                 // empty: closed
  void read_until(std::string_view text);  // or closed; `response` has it all the same
  void end_requests();                     // the server reads the end of what was sent
  void close() { socket_.close(); }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_{io_};
  int port_;
  std::string unread_;
};

class TestServer {
 public:
  explicit TestServer(ServeOptions options = {});
  ~TestServer();

  HttpResponse post(std::string_view path, const Json& body, std::string_view more_headers = {});
  HttpResponse post_text(std::string_view path, std::string_view body,
                         std::string_view more_headers = {});
  HttpResponse get(std::string_view path, std::string_view more_headers = {});
  // Streams. Half way the model is held until `text` of its reply has come.
  HttpResponse post_held(std::string_view path, Json body, const model::Turn& reply,
                         std::string_view text);
  // The model, next. `thinking`: what the request asks for.
  void says(const model::Turn& turn, model::Thinking thinking = model::Thinking::on);
  void on_token(std::function<void(int)> call);
  void on_io_thread(std::function<void()> change);
  int port() const { return port_; }
  std::int64_t rows();  // that the network has computed

  ScriptedModel scripted;  // used by the server's threads: changed by the functions above

 private:
  asio::io_context io_{1};
  std::unique_ptr<Server> server_;
  int port_ = 0;
  std::thread thread_;
};

// Holds the model at one of its tokens until it is let go.
struct Gate {
  explicit Gate(TestServer& server, int at = 1) {
    server.on_token([this, at](int n) {
      if (n != at) return;
      arrived.set_value();
      opened.get_future().wait();
    });
  }
  std::promise<void> arrived, opened;
};

// "say" as a reply of the model: what a script is made of.
model::Turn saying(std::string content, std::string reasoning = {});
model::Turn calling(std::string tool, std::string arguments, std::string reasoning = {});

}  // namespace corvid::runtime
