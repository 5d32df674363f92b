#include "tests/runtime/model_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <nlohmann/json.hpp>

namespace corvid::tests {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Json = nlohmann::ordered_json;

namespace {

std::string chunk_of(Json delta, Json finish_reason = nullptr) {
  const Json choice = {{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", finish_reason}};
  return Json{{"id", "c1"}, {"object", "chat.completion.chunk"}, {"choices", Json::array({choice})}}
      .dump();
}

}  // namespace

std::string content_chunk(std::string_view text) {
  return chunk_of({{"content", text}});
}
std::string reasoning_chunk(std::string_view text, std::string_view key) {
  return chunk_of({{key, text}});
}
std::string call_chunk(int index, std::string_view id, std::string_view name,
                       std::string_view arguments) {
  Json function = {{"arguments", arguments}};
  if (!name.empty()) function["name"] = name;
  Json call = {{"index", index}, {"type", "function"}, {"function", function}};
  if (!id.empty()) call["id"] = id;
  return chunk_of({{"tool_calls", Json::array({call})}});
}
std::string finish_chunk(std::string_view reason) {
  return chunk_of(Json::object(), reason);
}
std::string usage_chunk(int prompt, int cached, int completion) {
  return Json{{"choices", Json::array()},
              {"usage",
               {{"prompt_tokens", prompt},
                {"completion_tokens", completion},
                {"prompt_tokens_details", {{"cached_tokens", cached}}}}}}
      .dump();
}

bool ServerConnection::send(std::string_view bytes) {
  error_code failed;
  asio::write(socket_, asio::buffer(bytes), failed);
  return !failed;
}

void ServerConnection::respond(int status, std::string_view type, std::string_view body,
                               std::string_view more_headers) {
  send("HTTP/1.1 " + std::to_string(status) + " Scripted\r\nContent-Type: " + std::string(type) +
       "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(more_headers) +
       "\r\n" + std::string(body));
}

bool ServerConnection::start_stream(std::string_view more_headers) {
  return send(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
      "Transfer-Encoding: chunked\r\n" +
      std::string(more_headers) + "\r\n");
}

void ServerConnection::chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  send(size + std::string(bytes) + "\r\n");
}

bool ServerConnection::event(std::string_view data) {
  const std::string text = "data: " + std::string(data) + "\n\n";
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return send(size + text + "\r\n");
}

bool ServerConnection::comment() {
  return send("e\r\n: keep-alive\n\n\r\n");
}
void ServerConnection::end_stream() {
  event("[DONE]");
  send("0\r\n\r\n");
}

void ServerConnection::reset() {
  const std::lock_guard lock(closing_);
  socket_.set_option(asio::socket_base::linger(true, 0));
  socket_.close();
}

bool ServerConnection::closed_within(std::chrono::milliseconds limit) {
  pollfd waited = {socket_.native_handle(), POLLIN | POLLRDHUP, 0};
  if (poll(&waited, 1, static_cast<int>(limit.count())) <= 0) return false;
  char byte;
  return recv(socket_.native_handle(), &byte, 1, MSG_PEEK) <= 0;
}

void ServerConnection::say(std::string_view content, std::string_view reasoning) {
  start_stream();
  if (!reasoning.empty()) event(reasoning_chunk(reasoning));
  event(content_chunk(content));
  event(finish_chunk("stop"));
  event(usage_chunk(100, 90, 10));
  end_stream();
}

void ServerConnection::call(std::string_view id, std::string_view tool, std::string_view arguments,
                            std::string_view reasoning) {
  start_stream();
  if (!reasoning.empty()) event(reasoning_chunk(reasoning));
  event(call_chunk(0, id, tool, ""));
  event(call_chunk(0, "", "", arguments));
  event(finish_chunk("tool_calls"));
  event(usage_chunk(100, 90, 10));
  end_stream();
}

struct ModelServer::Peer {
  explicit Peer(tcp::socket accepted) : socket(std::move(accepted)) {}
  tcp::socket socket;
  std::mutex closing;
  std::thread thread;
};

ModelServer::ModelServer(Script script, int port)
    : script_(std::move(script)),
      acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(),
                                   static_cast<asio::ip::port_type>(port))),
      port_(acceptor_.local_endpoint().port()),
      acceptor_thread_([this] { accept(); }) {}

ModelServer::~ModelServer() {
  stopping_ = true;
  shutdown(acceptor_.native_handle(), SHUT_RDWR);  // wakes accept()
  acceptor_thread_.join();
  for (const auto& peer : peers_) {
    const std::lock_guard lock(peer->closing);
    if (peer->socket.is_open()) shutdown(peer->socket.native_handle(), SHUT_RDWR);
  }
  for (const auto& peer : peers_) peer->thread.join();
}

std::vector<ReceivedRequest> ModelServer::posts() const {
  const std::lock_guard lock(mutex_);
  return posts_;
}

void ModelServer::accept() {
  while (!stopping_) {
    error_code failed;
    tcp::socket socket = acceptor_.accept(failed);
    if (failed) continue;
    ++n_connections_;
    socket.set_option(tcp::no_delay(true));
    peers_.push_back(std::make_unique<Peer>(std::move(socket)));
    Peer& peer = *peers_.back();
    peer.thread = std::thread([this, &peer] { serve(peer); });
  }
}

void ModelServer::serve(Peer& peer) {
  ServerConnection connection(peer.socket, peer.closing);
  std::string buffer;
  error_code failed;
  while (!stopping_ && peer.socket.is_open()) {
    if (buffer.empty())
      asio::read(peer.socket, asio::dynamic_buffer(buffer), asio::transfer_at_least(1), failed);
    if (failed) break;
    if (buffer.front() < 'A') {  // a TLS greeting
      connection.respond(400, "text/plain", "plain HTTP only");
      break;
    }
    ReceivedRequest request;
    const std::size_t head_end =
        asio::read_until(peer.socket, asio::dynamic_buffer(buffer), "\r\n\r\n", failed);
    if (failed) break;
    request.at = std::chrono::steady_clock::now();
    request.head = buffer.substr(0, head_end);
    buffer.erase(0, head_end);
    request.method = request.head.substr(0, request.head.find(' '));
    const std::size_t path = request.method.size() + 1;
    request.path = request.head.substr(path, request.head.find(' ', path) - path);
    if (const std::size_t at = request.head.find("Content-Length: "); at != std::string::npos) {
      const std::size_t n_bytes = std::stoul(request.head.substr(at + 16));
      if (buffer.size() < n_bytes) {
        asio::read(peer.socket, asio::dynamic_buffer(buffer),
                   asio::transfer_exactly(n_bytes - buffer.size()), failed);
      }
      if (failed) break;
      request.body = buffer.substr(0, n_bytes);
      buffer.erase(0, n_bytes);
    }
    if (request.method == "GET") {
      ++n_model_lists_;
      connection.respond(200, "application/json", models);
      continue;
    }
    int n = 0;
    {
      const std::lock_guard lock(mutex_);
      n = static_cast<int>(posts_.size());
      posts_.push_back(request);
    }
    script_(connection, request, n);
  }
  if (peer.socket.is_open()) shutdown(peer.socket.native_handle(), SHUT_RDWR);
}

}  // namespace corvid::tests
