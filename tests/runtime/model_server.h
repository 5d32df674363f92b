// A chat-completions server on loopback that answers as a script says, well or badly.
//
// The script is called for each POST on a thread of its own; it writes whatever bytes it likes.
// GET /v1/models is answered by itself. All requests are kept.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace corvid::tests {

struct ReceivedRequest {
  std::string method, path, head, body;
  std::chrono::steady_clock::time_point at;
};

class ServerConnection {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  // `closing`: held while the socket is closed.
  ServerConnection(Socket& socket, std::mutex& closing) : socket_(socket), closing_(closing) {}

  bool send(std::string_view bytes);  // false: the client is gone
  void respond(int status, std::string_view type, std::string_view body,
               std::string_view more_headers = {});
  bool start_stream(std::string_view more_headers = {});  // head of a chunked event stream
  bool event(std::string_view data);                      // one `data:` event
  bool comment();                                         // a keep-alive
  void end_stream();                                      // [DONE] and the last chunk
  void chunk(std::string_view bytes);
  void reset();  // the connection dies hard
  // Waits until the client closes; false when it has not after `limit`.
  bool closed_within(std::chrono::milliseconds limit);

  // Whole replies.
  void say(std::string_view content, std::string_view reasoning = {});
  void call(std::string_view id, std::string_view tool, std::string_view arguments,
            std::string_view reasoning = {});

 private:
  Socket& socket_;
  std::mutex& closing_;
};

class ModelServer {
 public:
  // `n` counts the POST requests from 0.
  using Script = std::function<void(ServerConnection&, const ReceivedRequest&, int n)>;

  explicit ModelServer(Script script, int port = 0);
  ~ModelServer();

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::vector<ReceivedRequest> posts() const;
  int n_connections() const { return n_connections_; }
  int n_model_lists() const { return n_model_lists_; }
  std::string models = R"({"object":"list","data":[{"id":"scripted","object":"model"}]})";

 private:
  struct Peer;
  void accept();
  void serve(Peer& peer);

  Script script_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> n_connections_ = 0, n_model_lists_ = 0;
  mutable std::mutex mutex_;
  std::list<std::unique_ptr<Peer>> peers_;
  std::vector<ReceivedRequest> posts_;
  std::thread acceptor_thread_;
};

// JSON text of one chunk of a stream.
std::string content_chunk(std::string_view text);
std::string reasoning_chunk(std::string_view text, std::string_view key = "reasoning_content");
std::string call_chunk(int index, std::string_view id, std::string_view name,
                       std::string_view arguments);
std::string finish_chunk(std::string_view reason);
std::string usage_chunk(int prompt, int cached, int completion);

}  // namespace corvid::tests
