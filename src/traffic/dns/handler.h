// SPDX-License-Identifier: Apache-2.0
// What a server's thread does with a message: from the answers that are kept when it can, by the responder when it
// must, within the limits of the sender's network. Without sockets. One thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "traffic/dns/answer_cache.h"
#include "traffic/dns/responder.h"

namespace evercert::traffic::dns {

// Written by one thread, read by any.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct alignas(64) HandlerCounters {
  Counter udp_queries, tcp_queries, kept_answers, unanswerable, limited_truncated, limited_dropped;
  std::array<Counter, 17> answers;  // by rcode
};

struct HandlerOptions {
  RateLimits limits;
  std::uint64_t seed = 0;  // unpredictable
  std::size_t kept_answers = 1 << 14;
};

class Handler {
 public:
  Handler(std::unique_ptr<Responder> responder, HandlerOptions options, HandlerCounters& counters);

  // Forgets all answers and follows this.
  void use(std::shared_ptr<const View> view, WallTime now);
  // Room for an answer by UDP. It never is longer.
  static constexpr std::size_t kRoom = kUdpPayload;
  // The size of the answer in `out`; 0: nothing is to be sent.
  std::size_t by_udp(std::span<const std::uint8_t> message, const IpAddress& from, Instant now,
                     std::span<std::uint8_t, kRoom> out);
  // Empty: the connection is to be closed.
  std::string by_tcp(std::span<const std::uint8_t> message, const IpAddress& from, Instant now);

 private:
  struct Known {
    IpAddress client;
    std::uint64_t whose = 0, epoch = 0;
  };
  std::uint64_t whose(const IpAddress& client);
  std::size_t limited(std::span<const std::uint8_t> message, RateLimiter::Verdict verdict,
                      std::span<std::uint8_t, kRoom> out);
  void count(int rcode);

  std::unique_ptr<Responder> responder_;
  AnswerCache cache_;
  RateLimiter limiter_;
  HandlerCounters& counters_;
  std::vector<Known> known_;
  std::uint64_t epoch_ = 0, seed_;
};

}  // namespace evercert::traffic::dns
