// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <set>

#include "base/log.h"
#include "net/asio_runtime.h"
#include "net/http_parse.h"

namespace evercert::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kLingerBytes = 8 << 20;

template <class Stream>
constexpr bool kIsTls = !std::is_same_v<Stream, beast::tcp_stream>;

class ServerImpl : public HttpServer {
 public:
  ServerImpl(HttpServerOptions options, HttpHandler handler)
      : options_(std::move(options)), handler_(std::move(handler)) {}

  ~ServerImpl() override {
    draining_ = true;
    threads_.clear();  // stops the loops; what is left of connections is destroyed with their contexts
  }

  Status open() {
    for (int t = 0; t < options_.threads; ++t) threads_.push_back(std::make_unique<AsioThread>("http"));
    for (const HttpListener& listener : options_.listeners) {
      std::shared_ptr<asio::ssl::context> tls;
      if (listener.tls) {
        EC_ASSIGN(tls, server_tls(listener.files, listener.client_certificates));
      }
      std::uint16_t port = listener.port;
      for (auto& thread : threads_) {
        EC_ASSIGN(auto acceptor, bind(thread->context, listener.address, port));
        port = acceptor->local_endpoint().port();
        acceptors_.push_back(acceptor);
        asio::co_spawn(thread->context, accept(*thread, acceptor, tls), asio::detached);
      }
      ports_.push_back(port);
    }
    return {};
  }

  std::uint16_t port(std::size_t listener) const override { return ports_.at(listener); }

  void drain(Duration patience) override {
    draining_ = true;
    for (auto& acceptor : acceptors_) {
      asio::post(acceptor->get_executor(), [acceptor] {
        boost::system::error_code ignored;  // already closed: nothing to do
        acceptor->close(ignored);
      });
    }
    const auto end = std::chrono::steady_clock::now() + patience;
    while (busy_ > 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(2ms);
  }

 private:
  Result<std::shared_ptr<tcp::acceptor>> bind(asio::io_context& context, const std::string& address,
                                              std::uint16_t port) {
    boost::system::error_code error;
    const auto ip = asio::ip::make_address(address, error);
    if (error) return fail(Code::kInvalid, "'" + address + "' is not an address to listen on");
    auto acceptor = std::make_shared<tcp::acceptor>(context);
    const tcp::endpoint endpoint(ip, port);
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
    // Each thread accepts for itself; the kernel spreads the connections.
    using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
    if (!error) acceptor->set_option(ReusePort(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(1024, error);
    if (error)
      return fail(Code::kIo, "cannot listen on " + address + ":" + std::to_string(port) + ": " + error.message());
    return acceptor;
  }

  asio::awaitable<void> accept(AsioThread& thread, std::shared_ptr<tcp::acceptor> acceptor,
                               std::shared_ptr<asio::ssl::context> tls) {
    while (!draining_) {
      auto [error, socket] = co_await acceptor->async_accept(kTuple);
      if (draining_ || error == asio::error::operation_aborted) co_return;
      if (error) {  // out of descriptors, most likely: wait for some to be closed
        asio::steady_timer pause(thread.context, 20ms);
        co_await pause.async_wait(kTuple);
        continue;
      }
      if (connections_ >= options_.max_connections) continue;  // closed by going out of scope
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      if (tls) {
        asio::co_spawn(thread.context, serve(thread, beast::ssl_stream<beast::tcp_stream>(std::move(socket), *tls)),
                       asio::detached);
      } else {
        asio::co_spawn(thread.context, serve(thread, beast::tcp_stream(std::move(socket))), asio::detached);
      }
    }
  }

  struct Count {
    explicit Count(std::atomic<std::size_t>& c) : counter(c) { ++counter; }
    ~Count() { --counter; }
    std::atomic<std::size_t>& counter;
  };

  template <class Stream>
  asio::awaitable<void> serve(AsioThread& thread, Stream stream) {
    const Count counted(connections_);
    auto& lowest = beast::get_lowest_layer(stream);
    std::string identity;
    boost::system::error_code ignored;
    const auto remote = lowest.socket().remote_endpoint(ignored);
    if constexpr (kIsTls<Stream>) {
      lowest.expires_after(options_.header_timeout);
      auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kTuple);
      if (error) co_return;
      identity = peer_identity(stream.native_handle());
    }
    beast::flat_buffer buffer;
    for (bool first = true;; first = false) {
      RequestParser parser;
      set_limits(parser, options_);
      // A kept connection may rest; once a request has begun it must come in swiftly.
      if (buffer.size() == 0 && !first) {
        lowest.expires_after(options_.idle_timeout);
        auto [error, n] = co_await stream.async_read_some(buffer.prepare(4096), kTuple);
        if (error) break;
        buffer.commit(n);
      }
      lowest.expires_after(options_.header_timeout);
      auto [error, n] = co_await http::async_read_header(stream, buffer, parser, kTuple);
      if (!error && beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(stream, asio::buffer(go_on), kTuple);
      }
      if (!error) {
        auto [body_error, m] = co_await http::async_read(stream, buffer, parser, kTuple);
        error = body_error;
      }
      if (error) {
        co_await refuse(stream, error);
        break;
      }
      const Count busy(busy_);
      const bool keep_alive = parser.get().keep_alive() && !draining_;
      const bool head = parser.get().method() == http::verb::head;
      const unsigned version = parser.get().version();
      auto handling = handler_(convert(parser.release(), identity, kIsTls<Stream>, remote, thread));
      HttpResponse response = co_await await_task(std::move(handling));
      lowest.expires_after(options_.write_timeout);
      if (!co_await answer(stream, response, version, keep_alive && !draining_, head)) break;
      if (!keep_alive || draining_) break;
    }
    if constexpr (kIsTls<Stream>) {
      lowest.expires_after(1s);
      co_await stream.async_shutdown(kTuple);
    } else {
      lowest.socket().shutdown(tcp::socket::shutdown_send, ignored);
    }
  }

  static HttpRequest convert(http::request<http::string_body> in, const std::string& identity, bool tls,
                             const tcp::endpoint& remote, AsioThread& thread) {
    HttpRequest request = to_request(std::move(in));
    request.peer_address = remote.address().to_string();
    request.tls = tls;
    request.client_identity = identity;
    request.executor = &thread.executor;
    return request;
  }

  template <class Stream>
  asio::awaitable<bool> answer(Stream& stream, const HttpResponse& response, unsigned version, bool keep_alive,
                               bool head) {
    http::response<http::span_body<const char>> out;
    out.version(version);
    out.result(static_cast<unsigned>(response.status));
    for (const auto& [name, value] : response.headers.all()) out.insert(name, value);
    const std::string& body = response.bytes();
    out.body() = beast::span<const char>(body.data(), body.size());
    out.keep_alive(keep_alive);
    if (response.status != 204 && response.status != 304) out.content_length(body.size());
    if (head) out.body() = beast::span<const char>();
    if (head) {
      http::response_serializer<http::span_body<const char>> serializer(out);
      serializer.split(true);
      auto [error, n] = co_await http::async_write_header(stream, serializer, kTuple);
      co_return !error;
    }
    auto [error, n] = co_await http::async_write(stream, out, kTuple);
    co_return !error;
  }

  // A request that could not be read: says why when that can still be heard.
  template <class Stream>
  asio::awaitable<void> refuse(Stream& stream, boost::system::error_code error) {
    HttpResponse response;
    if (error == http::error::body_limit) {
      response = problem(413, reason_phrase(413),
                         "the body is larger than " + std::to_string(options_.max_body_bytes) + " bytes");
    } else if (error == http::error::header_limit) {
      response = problem(431, reason_phrase(431),
                         "the header is larger than " + std::to_string(options_.max_header_bytes) + " bytes");
    } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      response = problem(400, reason_phrase(400), "this is not an HTTP/1.1 request: " + error.message());
    } else {
      co_return;  // gone, or too slow
    }
    beast::get_lowest_layer(stream).expires_after(2s);
    if (!co_await answer(stream, response, 11, false, false)) co_return;
    // A client that is still sending would see its connection reset before the answer: take in some of the rest.
    std::array<char, 16 * 1024> rest;
    for (std::size_t taken = 0; taken < kLingerBytes;) {
      auto [closed, n] = co_await stream.async_read_some(asio::buffer(rest), kTuple);
      if (closed) co_return;
      taken += n;
    }
  }

  HttpServerOptions options_;
  HttpHandler handler_;
  std::vector<std::shared_ptr<tcp::acceptor>> acceptors_;
  std::vector<std::uint16_t> ports_;
  std::atomic<bool> draining_{false};
  std::atomic<std::size_t> connections_{0}, busy_{0};
  std::vector<std::unique_ptr<AsioThread>> threads_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, HttpHandler handler) {
  auto server = std::make_unique<ServerImpl>(std::move(options), std::move(handler));
  EC_TRY(server->open());
  return server;
}

}  // namespace evercert::net
