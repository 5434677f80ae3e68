// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/handler.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace evercert::traffic::dns {
namespace {

constexpr std::size_t kKnownClients = 1 << 13;  // a power of two

}  // namespace

Handler::Handler(std::unique_ptr<Responder> responder, HandlerOptions options, HandlerCounters& counters)
    : responder_(std::move(responder)),
      cache_(options.kept_answers, options.seed),
      limiter_(options.limits, options.seed ^ 0x5bd1e9955bd1e995u),
      counters_(counters),
      known_(kKnownClients),
      seed_(options.seed) {}

void Handler::use(std::shared_ptr<const View> view, WallTime now) {
  responder_->use(std::move(view), now);
  cache_.clear();
  ++epoch_;
}

// To find the place of an address and to order the regions takes longer than all the rest of a kept answer.
std::uint64_t Handler::whose(const IpAddress& client) {
  std::uint64_t words[2];
  std::memcpy(words, client.bytes.data(), sizeof words);
  const std::uint64_t hash = ((words[0] ^ seed_) * 0x9e3779b97f4a7c15u ^ words[1]) * 0xbf58476d1ce4e5b9u;
  Known& known = known_[hash >> 32 & (kKnownClients - 1)];
  if (known.epoch != epoch_ || known.client != client) known = {client, responder_->choice_for(client).key(), epoch_};
  return known.whose;
}

void Handler::count(int rcode) { counters_.answers[static_cast<std::size_t>(std::clamp(rcode, 0, 16))].add(); }

std::size_t Handler::limited(std::span<const std::uint8_t> message, RateLimiter::Verdict verdict,
                             std::span<std::uint8_t, kRoom> out) {
  if (verdict == RateLimiter::Verdict::kTruncate) {
    if (const auto cut = responder_->truncated(message); cut && cut->bytes.size() <= out.size()) {
      counters_.limited_truncated.add();
      std::memcpy(out.data(), cut->bytes.data(), cut->bytes.size());
      return cut->bytes.size();
    }
  }
  counters_.limited_dropped.add();
  return 0;
}

std::size_t Handler::by_udp(std::span<const std::uint8_t> message, const IpAddress& from, Instant now,
                            std::span<std::uint8_t, kRoom> out) {
  counters_.udp_queries.add();
  const std::size_t name_bytes = question_name_bytes(message);
  const bool keepable = name_bytes > 0 && cache_.look_at(message, name_bytes);
  if (keepable) {
    const AnswerCache::Kept* kept = cache_.find(whose(from));
    if (kept == nullptr) kept = cache_.find(kAnybody);
    if (kept != nullptr) {
      if (const auto verdict = limiter_.judge(from, kept->kind, now); verdict != RateLimiter::Verdict::kSend)
        return limited(message, verdict, out);
      counters_.kept_answers.add();
      count(kept->rcode);
      std::memcpy(out.data(), kept->answer.data(), kept->answer.size());
      std::memcpy(out.data(), message.data(), 2);
      // The name as this client spells it.
      std::memcpy(out.data() + kHeaderBytes, message.data() + kHeaderBytes, name_bytes);
      return kept->answer.size();
    }
  }
  if (const auto verdict = limiter_.judge(from, ResponseKind::kWork, now); verdict != RateLimiter::Verdict::kSend)
    return limited(message, verdict, out);
  auto response = responder_->respond(message, from, false);
  if (!response) {
    counters_.unanswerable.add();
    return 0;
  }
  EC_CHECK(response->bytes.size() <= out.size(), "an answer by UDP has room");
  if (const auto verdict = limiter_.judge(from, response->kind, now); verdict != RateLimiter::Verdict::kSend)
    return limited(message, verdict, out);
  count(response->rcode);
  const std::size_t size = response->bytes.size();
  std::memcpy(out.data(), response->bytes.data(), size);
  if (keepable && response->keep && response->name_bytes == name_bytes) {
    cache_.keep(response->by_source ? whose(from) : kAnybody, std::move(response->bytes), response->kind,
                static_cast<std::uint8_t>(response->rcode));
  }
  return size;
}

std::string Handler::by_tcp(std::span<const std::uint8_t> message, const IpAddress& from, Instant now) {
  counters_.tcp_queries.add();
  // Who comes by TCP has the address that it says: only its work is limited.
  if (limiter_.judge(from, ResponseKind::kWork, now) != RateLimiter::Verdict::kSend) {
    counters_.limited_dropped.add();
    return {};
  }
  auto response = responder_->respond(message, from, true);
  if (!response) {
    counters_.unanswerable.add();
    return {};
  }
  count(response->rcode);
  return std::move(response->bytes);
}

}  // namespace evercert::traffic::dns
