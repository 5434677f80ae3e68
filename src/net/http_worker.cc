// SPDX-License-Identifier: Apache-2.0
#include "net/http_worker.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "net/http_connection.h"

namespace evercert::net {
namespace {

constexpr std::size_t kInputBytes = 64 * 1024;
constexpr int kAcceptsAtATime = 64;
constexpr int kBacklog = 1024;

std::string address_of(const sockaddr_storage& peer) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = peer.ss_family == AF_INET6
                          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr)
                          : static_cast<const void*>(&reinterpret_cast<const sockaddr_in&>(peer).sin_addr);
  return ::inet_ntop(peer.ss_family, bytes, text.data(), text.size()) ? text.data() : "";
}

}  // namespace

class HttpWorker::Listener final : public Watched {
 public:
  Listener(HttpWorker& worker, int socket, const HttpListener& options, std::shared_ptr<const ServerTls> tls)
      : worker_(worker), socket_(socket), options_(options), tls_(std::move(tls)), pause_(worker.thread_.context) {
    worker_.readiness_.watch(socket_, Readiness::kListener, *this);
  }
  ~Listener() { close(); }

  void close() {
    if (socket_ >= 0) {
      worker_.readiness_.forget(socket_);
      ::close(std::exchange(socket_, -1));
    }
    pause_.cancel();
  }

  const ServerTls* tls() const { return tls_.get(); }
  bool is_proxy(const std::string& peer) const {
    return std::any_of(options_.proxies.begin(), options_.proxies.end(),
                       [&](const AddressPrefix& prefix) { return prefix.contains(peer); });
  }

  void ready(std::uint32_t) override {
    for (int i = 0; i < kAcceptsAtATime && socket_ >= 0; ++i) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      const int accepted = ::accept4(socket_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted >= 0) {
        worker_.accepted(accepted, *this, address_of(peer));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return pause();
      } else if (errno == EAGAIN) {
        return;
      }  // else: that one is gone, or a signal came
    }
  }

 private:
  // No descriptor is left: waits for connections to be closed.
  void pause() {
    worker_.readiness_.watch_again(socket_, Readiness::kNothing, *this);
    pause_.expires_after(20ms);
    pause_.async_wait([this](const boost::system::error_code& error) {
      if (!error && socket_ >= 0) worker_.readiness_.watch_again(socket_, Readiness::kListener, *this);
    });
  }

  HttpWorker& worker_;
  int socket_;
  const HttpListener& options_;
  std::shared_ptr<const ServerTls> tls_;
  Timer pause_;
};

HttpWorker::HttpWorker(HttpShared& shared)
    : shared_(shared), thread_("http", shared.options.busy_poll), input_(kInputBytes), now_(Clock::now()) {
  const HttpServerOptions& options = shared.options;
  const Duration shortest = std::min({options.header_timeout, options.idle_timeout, options.write_timeout});
  sweep_interval_ = std::clamp<Duration>(shortest / 4, 10ms, 250ms);
}

HttpWorker::~HttpWorker() {
  stop();
  cut();
}

void HttpWorker::cut() {
  connections_.clear();
  finished_.clear();
  listeners_.clear();
  busy_ = 0;
}

Result<std::uint16_t> HttpWorker::listen(const HttpListener& options, std::uint16_t port,
                                         std::shared_ptr<const ServerTls> tls) {
  const std::string& address = options.address;
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return fail(Code::kInvalid, "'" + address + "' is not an address to listen on");
  tcp::endpoint endpoint(ip, port);
  const int socket = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  // Each thread accepts for itself; the kernel spreads the connections.
  const bool open = socket >= 0 && ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                    ::setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                    ::bind(socket, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 &&
                    ::listen(socket, kBacklog) == 0;
  if (!open) {
    error.assign(errno, boost::system::system_category());
    if (socket >= 0) ::close(socket);
    return fail(Code::kIo, "cannot listen on " + address + ":" + std::to_string(port) + ": " + error.message());
  }
  return adopt(options, socket, std::move(tls));
}

Result<std::uint16_t> HttpWorker::adopt(const HttpListener& options, int socket, std::shared_ptr<const ServerTls> tls) {
  tcp::endpoint endpoint;
  socklen_t size = static_cast<socklen_t>(endpoint.capacity());
  if (::getsockname(socket, endpoint.data(), &size) != 0) {
    ::close(socket);
    return fail(Code::kIo, "a socket that was handed over is none");
  }
  sockets_.push_back(socket);
  listeners_.push_back(std::make_unique<Listener>(*this, socket, options, std::move(tls)));
  return endpoint.port();
}

void HttpWorker::start() {
  asio::post(thread_.context,
             [this] { readiness_.start([this] { now_ = Clock::now(); }, [this] { finished_.clear(); }); });
}

void HttpWorker::stop_listening() {
  asio::post(thread_.context, [this] {
    for (auto& listener : listeners_) listener->close();
    now_ = Clock::now();
    for (std::size_t i = connections_.size(); i-- > 0;) connections_[i]->drain();
  });
}

void HttpWorker::accepted(int socket, const Listener& listener, std::string peer) {
  if (shared_.draining || shared_.connections >= shared_.options.max_connections) {
    ++shared_.counts.turned_away;
    ::close(socket);
    return;
  }
  ++shared_.counts.connections;
  const ServerTls* tls = listener.tls();
  SSL* ssl = tls != nullptr ? tls->make() : nullptr;
  if (tls != nullptr && ssl == nullptr) {
    ::close(socket);
    return;
  }
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const bool proxied = listener.is_proxy(peer);
  auto connection = std::make_unique<HttpConnection>(*this, socket, ssl, std::move(peer), proxied);
  if (!proxied && !connection->enter()) return;
  connection->place = connections_.size();
  if (!readiness_.watch(socket, Readiness::kConnection, *connection)) return;  // closed with it
  connections_.push_back(std::move(connection));
  arm_sweep();
}

void HttpWorker::serve(HttpConnection& connection) {
  serving_ = &connection;
  connection.serve();
  serving_ = nullptr;
}

void HttpWorker::resume(HttpConnection& connection) {
  now_ = Clock::now();
  serve(connection);
}

void HttpWorker::serve_later(HttpConnection& connection) {
  readiness_.watch_again(connection.socket(), Readiness::kConnection, connection);
}

std::unique_ptr<RequestParser> HttpWorker::take_parser() {
  if (spare_parser_) return std::move(spare_parser_);
  return std::make_unique<RequestParser>(RequestLimits{shared_.options.max_body_bytes, shared_.options.max_header_bytes,
                                                       shared_.options.max_body_in_pieces});
}

void HttpWorker::give_back(std::unique_ptr<RequestParser> parser) {
  parser->next();
  spare_parser_ = std::move(parser);
}

bool HttpWorker::may_log() {
  if (now_ - logged_since_ >= 1s) {
    logged_since_ = now_;
    logged_ = 0;
  }
  return ++logged_ <= 10;
}

void HttpWorker::finished(HttpConnection& connection) {
  const std::size_t place = connection.place;
  finished_.push_back(std::move(connections_[place]));
  if (place + 1 < connections_.size()) {
    connections_[place] = std::move(connections_.back());
    connections_[place]->place = place;
  }
  connections_.pop_back();
}

void HttpWorker::arm_sweep() {
  if (std::exchange(sweeping_, true)) return;
  sweep_timer_.expires_after(sweep_interval_);
  sweep_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) sweep();
  });
}

// One timer for all: a limit is kept to within the interval.
void HttpWorker::sweep() {
  sweeping_ = false;
  now_ = Clock::now();
  for (std::size_t i = connections_.size(); i-- > 0;) connections_[i]->check_time();
  finished_.clear();
  if (!connections_.empty()) arm_sweep();
}

}  // namespace evercert::net
