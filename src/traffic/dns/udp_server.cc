// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/udp_server.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/time.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/log.h"

namespace evercert::traffic::dns {
namespace {

constexpr std::size_t kBatch = 64;         // messages by one system call
constexpr std::size_t kLongest = 2048;     // of a query; a longer one is cut off, and malformed by that
constexpr timeval kWait{0, 100'000};       // until an idle thread looks whether it is to end
constexpr std::size_t kControlBytes = 64;  // which of the machine's addresses was asked

class UdpServerImpl : public UdpServer {
 public:
  UdpServerImpl(Socket socket, bool any, std::unique_ptr<Handler> handler, const Hub& hub, MonotonicClock& clock)
      : socket_(std::move(socket)), any_(any), handler_(std::move(handler)), hub_(hub), clock_(clock) {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kWait, sizeof kWait);
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "dns-udp");
      serve();
    });
  }
  ~UdpServerImpl() override {
    stopping_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

 private:
  struct Slot {
    std::array<std::uint8_t, kLongest> in;
    std::array<std::uint8_t, Handler::kRoom> out;
    sockaddr_storage from;
    iovec in_vector, out_vector;
    alignas(cmsghdr) std::array<std::uint8_t, kControlBytes> control;
  };

  void serve() {
    auto slots = std::make_unique<std::array<Slot, kBatch>>();
    std::array<mmsghdr, kBatch> incoming{}, outgoing{};
    std::uint64_t version = 0;
    while (!stopping_.load(std::memory_order_relaxed)) {
      for (std::size_t i = 0; i < kBatch; ++i) {
        Slot& slot = (*slots)[i];
        slot.in_vector = {slot.in.data(), slot.in.size()};
        incoming[i].msg_hdr = {&slot.from, sizeof slot.from, &slot.in_vector, 1, nullptr, 0, 0};
        if (!any_) continue;
        incoming[i].msg_hdr.msg_control = slot.control.data();
        incoming[i].msg_hdr.msg_controllen = slot.control.size();
      }
      const int count = ::recvmmsg(socket_.get(), incoming.data(), kBatch, MSG_WAITFORONE, nullptr);
      if (hub_.version() != version) {
        version = hub_.version();
        auto [view, at] = hub_.latest();
        handler_->use(std::move(view), at);
      }
      if (count <= 0) continue;  // nothing came, or an ICMP error of an answer that could not be delivered
      const Instant now = clock_.now();
      unsigned ready = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        Slot& slot = (*slots)[i];
        const std::size_t size =
            handler_->by_udp({slot.in.data(), incoming[i].msg_len}, from_system(slot.from), now, slot.out);
        if (size == 0) continue;
        slot.out_vector = {slot.out.data(), size};
        outgoing[ready].msg_hdr = {&slot.from, incoming[i].msg_hdr.msg_namelen, &slot.out_vector, 1, nullptr, 0, 0};
        if (any_) answer_from_there(slot, incoming[i].msg_hdr, outgoing[ready].msg_hdr);
        ++ready;
      }
      send(outgoing.data(), ready);
    }
  }

  // What the system said of the query's way in is what it takes for the answer's way out; the interface is its choice.
  static void answer_from_there(Slot&, msghdr& in, msghdr& out) {
    cmsghdr* info = CMSG_FIRSTHDR(&in);
    if (info == nullptr) return;
    if (info->cmsg_level == IPPROTO_IP && info->cmsg_type == IP_PKTINFO) {
      auto* four = reinterpret_cast<in_pktinfo*>(CMSG_DATA(info));
      four->ipi_ifindex = 0;
    } else if (info->cmsg_level == IPPROTO_IPV6 && info->cmsg_type == IPV6_PKTINFO) {
      auto* six = reinterpret_cast<in6_pktinfo*>(CMSG_DATA(info));
      if (!IN6_IS_ADDR_LINKLOCAL(&six->ipi6_addr)) six->ipi6_ifindex = 0;
    } else {
      return;
    }
    out.msg_control = in.msg_control;
    out.msg_controllen = in.msg_controllen;
  }

  void send(mmsghdr* messages, unsigned count) {
    for (unsigned sent = 0; sent < count;) {
      const int done = ::sendmmsg(socket_.get(), messages + sent, count - sent, 0);
      if (done > 0) {
        sent += static_cast<unsigned>(done);
      } else if (errno != EINTR) {
        ++sent;  // this one cannot be sent (no route, a forged address); the client asks again
      }
    }
  }

  Socket socket_;
  const bool any_;
  std::unique_ptr<Handler> handler_;
  const Hub& hub_;
  MonotonicClock& clock_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<UdpServer> UdpServer::start(Socket socket, bool any, std::unique_ptr<Handler> handler, const Hub& hub,
                                            MonotonicClock& clock) {
  return std::make_unique<UdpServerImpl>(std::move(socket), any, std::move(handler), hub, clock);
}

}  // namespace evercert::traffic::dns
