// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/tcp_server.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <thread>
#include <unordered_map>

namespace evercert::traffic::dns {
namespace {

constexpr int kWaitMs = 100;
constexpr std::size_t kReadAtOnce = 16 << 10;

struct Connection {
  Socket socket;
  IpAddress from;
  std::string in, out;
  std::size_t sent = 0;      // of `out`
  Instant active, begun;     // last whole query; first byte of one that is not whole yet
  bool ending = false;       // the other side has said all
  std::uint32_t events = 0;  // what epoll waits for
};

AddressPrefix network_of(const IpAddress& address) { return prefix_of(address, address.v6 ? 56 : 24); }

class TcpServerImpl : public TcpServer {
 public:
  TcpServerImpl(std::vector<Socket> listeners, std::unique_ptr<Handler> handler, const Hub& hub, MonotonicClock& clock,
                TcpLimits limits)
      : listeners_(std::move(listeners)), handler_(std::move(handler)), hub_(hub), clock_(clock), limits_(limits) {}
  ~TcpServerImpl() override {
    stopping_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
  }

  Status open() {
    epoll_ = Socket(::epoll_create1(EPOLL_CLOEXEC));
    bool fine = epoll_.get() >= 0;
    for (const Socket& listener : listeners_) {
      epoll_event event{EPOLLIN, {}};
      event.data.fd = listener.get();
      fine = fine && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.get(), &event) == 0;
    }
    if (!fine) return fail(Code::kIo, std::string("epoll: ") + std::strerror(errno));
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "dns-tcp");
      serve();
    });
    return {};
  }

 private:
  using Connections = std::list<Connection>;  // the one that has been idle for longest first

  void serve() {
    std::array<epoll_event, 64> events{};
    std::uint64_t version = 0;
    while (!stopping_.load(std::memory_order_relaxed)) {
      const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), kWaitMs);
      if (hub_.version() != version) {
        version = hub_.version();
        auto [view, at] = hub_.latest();
        handler_->use(std::move(view), at);
      }
      const Instant now = clock_.now();
      for (int i = 0; i < count; ++i) {
        const int descriptor = events[static_cast<std::size_t>(i)].data.fd;
        const auto found = by_descriptor_.find(descriptor);
        if (found != by_descriptor_.end()) {
          go_on(found->second, now);
        } else if (std::any_of(listeners_.begin(), listeners_.end(),
                               [&](const Socket& listener) { return listener.get() == descriptor; })) {
          accept_from(descriptor, now);
        }
      }
      end_idle(now);
    }
  }

  void accept_from(int listener, Instant now) {
    for (;;) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      Socket socket(::accept4(listener, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.get() < 0) return;
      const IpAddress address = from_system(from);
      auto& of_network = networks_[network_of(address)];
      if (of_network >= limits_.of_one_network) continue;
      ++of_network;
      if (connections_.size() >= limits_.connections) end(connections_.begin());
      const int descriptor = socket.get();
      connections_.push_back({std::move(socket), address, {}, {}, 0, now, now, false, EPOLLIN});
      const auto made = std::prev(connections_.end());
      by_descriptor_[descriptor] = made;
      epoll_event event{EPOLLIN, {}};
      event.data.fd = descriptor;
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) end(made);
    }
  }

  void go_on(Connections::iterator at, Instant now) {
    Connection& connection = *at;
    if (!flush(connection) || (!connection.ending && !read(connection, now)) || !answer(at, now) ||
        !flush(connection)) {
      end(at);
      return;
    }
    const bool unsent = connection.sent < connection.out.size();
    if (connection.ending && !unsent) {
      end(at);
      return;
    }
    const std::uint32_t wanted = (unsent ? EPOLLOUT : 0u) | (may_read(connection) ? EPOLLIN : 0u);
    if (wanted == connection.events) return;
    connection.events = wanted;
    epoll_event event{wanted, {}};
    event.data.fd = connection.socket.get();
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event) != 0) end(at);
  }

  bool may_read(const Connection& connection) const {
    return !connection.ending && connection.out.size() - connection.sent < limits_.unsent;
  }

  // False: the connection is broken.
  bool read(Connection& connection, Instant now) {
    std::array<char, kReadAtOnce> bytes;
    if (!may_read(connection)) return true;
    const ssize_t count = ::recv(connection.socket.get(), bytes.data(), bytes.size(), 0);
    if (count == 0) connection.ending = true;
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (connection.in.empty()) connection.begun = now;
    connection.in.append(bytes.data(), static_cast<std::size_t>(count));
    return true;
  }

  // Each query that is whole, in order. False: one that must not be answered, so that the stream has no sense.
  bool answer(Connections::iterator at, Instant now) {
    Connection& connection = *at;
    std::size_t done = 0;
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(connection.in[i]); };
    while (connection.in.size() - done >= 2) {
      const std::size_t size = static_cast<std::size_t>(byte(done)) << 8 | byte(done + 1);
      if (connection.in.size() - done - 2 < size) break;
      const std::string reply = handler_->by_tcp(
          {reinterpret_cast<const std::uint8_t*>(connection.in.data()) + done + 2, size}, connection.from, now);
      if (reply.empty()) return false;
      connection.out += static_cast<char>(reply.size() >> 8);
      connection.out += static_cast<char>(reply.size() & 0xff);
      connection.out += reply;
      done += size + 2;
    }
    if (done == 0) return true;
    connection.in.erase(0, done);
    connection.active = connection.begun = now;
    connections_.splice(connections_.end(), connections_, at);
    return true;
  }

  bool flush(Connection& connection) {
    while (connection.sent < connection.out.size()) {
      const ssize_t count = ::send(connection.socket.get(), connection.out.data() + connection.sent,
                                   connection.out.size() - connection.sent, MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      connection.sent += static_cast<std::size_t>(count);
    }
    connection.out.clear();
    connection.sent = 0;
    return true;
  }

  void end_idle(Instant now) {
    for (auto at = connections_.begin(); at != connections_.end();) {
      const auto next = std::next(at);
      const bool slow = !at->in.empty() && now - at->begun > limits_.slow_query;
      if (slow || now - at->active > limits_.idle) end(at);
      at = next;
    }
  }

  void end(Connections::iterator at) {
    const auto network = networks_.find(network_of(at->from));
    if (--network->second == 0) networks_.erase(network);
    by_descriptor_.erase(at->socket.get());
    connections_.erase(at);
  }

  std::vector<Socket> listeners_;
  std::unique_ptr<Handler> handler_;
  const Hub& hub_;
  MonotonicClock& clock_;
  const TcpLimits limits_;
  Socket epoll_;
  Connections connections_;
  std::unordered_map<int, Connections::iterator> by_descriptor_;
  std::map<AddressPrefix, std::size_t> networks_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<TcpServer>> TcpServer::start(std::vector<Socket> sockets, std::unique_ptr<Handler> handler,
                                                    const Hub& hub, MonotonicClock& clock, TcpLimits limits) {
  auto server = std::make_unique<TcpServerImpl>(std::move(sockets), std::move(handler), hub, clock, limits);
  EC_TRY(server->open());
  return server;
}

}  // namespace evercert::traffic::dns
