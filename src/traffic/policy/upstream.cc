// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/upstream.h"

#include <algorithm>
#include <span>

#include "traffic/policy/subset.h"
#include "traffic/policy/two_choices.h"

namespace evercert::traffic {
namespace {

constexpr Duration kToldFor = 1s;  // what an endpoint said of itself

}  // namespace

static_assert(kCriticalities <= GradientLimit::kKinds);

Upstream::Upstream(UpstreamOptions options, std::uint64_t salt)
    : options_(options),
      salt_(salt),
      limits_{GradientLimit(options.gradient, mix(salt + 1)), GradientLimit(options.gradient, mix(salt + 2)),
              GradientLimit(options.gradient, mix(salt + 3))},
      ejection_(options.ejection),
      admission_(options.admission),
      retries_(options.retry_share, options.retry_floor_per_second),
      hedges_(options.hedge) {
  kinds_.reserve(kCriticalities);
  for (std::size_t i = 0; i < kCriticalities; ++i)
    kinds_.push_back({LatencyWindow{}, HedgeDelay(options.hedge), TunedTimeout(options.timeout)});
}

Result<std::size_t> Upstream::add(Distance distance) {
  if (all_.size() == kMost)
    return fail(Code::kInvalid, "more than " + std::to_string(kMost) + " endpoints of one kind");
  const std::uint64_t own = mix(salt_ + all_.size() + 1);
  all_.push_back({distance, EndpointHealth(options_.health), CircuitBreaker(options_.breaker, own),
                  PeakEwma(options_.ewma_decay), SlowStart(options_.slow_start)});
  return ejection_.add();
}

bool Upstream::good(std::size_t at, Instant now) const {
  return all_[at].health.healthy() && !all_[at].draining && !ejection_.shunned(at) &&
         all_[at].breaker.state(now) == BreakerState::kClosed;
}

Standing Upstream::standing(std::size_t at, Instant now) const {
  const Endpoint& endpoint = all_[at];
  if (!endpoint.health.healthy()) return Standing::kLastResort;
  switch (endpoint.breaker.state(now)) {
    case BreakerState::kClosed: return ejection_.shunned(at) || endpoint.draining ? Standing::kPoor : Standing::kGood;
    case BreakerState::kHalfOpen:
      return !ejection_.shunned(at) && !endpoint.draining && endpoint.breaker.admits(now) ? Standing::kProbe
                                                                                          : Standing::kLastResort;
    case BreakerState::kOpen: break;
  }
  return Standing::kLastResort;
}

// Of the near ones that stand well; when none does, of the far ones that do; when nobody does, of all: then the
// standing is worth little, and what is asked as a last resort shall not be more than what was asked before.
Upstream::Load Upstream::load(Instant now) const {
  Load near, well, all;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const Load own{static_cast<double>(all_[i].in_flight), limit(all_[i].distance)};
    all += own;
    if (!good(i, now)) continue;
    well += own;
    if (all_[i].distance != Distance::kRemote) near += own;
  }
  return near.limit > 0 ? near : well.limit > 0 ? well : all;
}

bool Upstream::admits(Criticality of, Instant now, double coming) const {
  const Load now_there = load(now);
  return admission_.admits(of, now_there.in_flight + coming, now_there.limit);
}

double Upstream::utilisation(Instant now) const {
  const Load now_there = load(now);
  return now_there.limit > 0 ? now_there.in_flight / now_there.limit : 1;
}

// The better of two among the first `candidates`; of those with room in their limit when there are any.
std::uint16_t Upstream::best_of(std::size_t candidates, std::uint64_t chance, Instant now) const {
  std::array<std::uint16_t, kMost> with_room{};
  std::size_t n = 0;
  for (std::size_t i = 0; i < candidates; ++i) {
    const Endpoint& endpoint = all_[candidates_[i]];
    if (busy(endpoint, now) < limit(endpoint.distance)) with_room[n++] = candidates_[i];
  }
  const std::span<const std::uint16_t> among = n > 0 ? std::span<const std::uint16_t>(with_room.data(), n)
                                                     : std::span<const std::uint16_t>(candidates_.data(), candidates);
  return two_choices(among, chance, [&](std::uint16_t at) {
    const Endpoint& endpoint = all_[at];
    return endpoint.cost.load(busy(endpoint, now), now) / endpoint.start.weight(now);
  });
}

std::optional<Pick> Upstream::pick(Tried& tried, bool may_leave_region, bool may_probe, std::uint64_t chance,
                                   Instant now, std::optional<std::size_t> preferred) {
  ejection_.tick(now);
  std::array<std::size_t, 4> of_standing{};
  std::array<TierLoad, kDistances> tiers{};
  std::array<std::size_t, kDistances> well{};
  std::array<std::uint8_t, kMost> standings{};
  for (std::size_t i = 0; i < all_.size(); ++i) {
    Endpoint& endpoint = all_[i];
    const Standing now_stands = standing(i, now);
    const bool is_good = now_stands == Standing::kGood;
    if (is_good && !endpoint.was_good) endpoint.start.returned(now);
    endpoint.was_good = is_good;
    if (is_good) ++well[static_cast<std::size_t>(endpoint.distance)];
    standings[i] = static_cast<std::uint8_t>(now_stands);
    if (tried[i] || (endpoint.distance == Distance::kRemote && !may_leave_region)) {
      standings[i] = UINT8_MAX;
      continue;
    }
    ++of_standing[standings[i]];
    if (!is_good) continue;
    TierLoad& tier = tiers[static_cast<std::size_t>(endpoint.distance)];
    tier.in_flight += endpoint.in_flight;
    tier.capacity += limit(endpoint.distance);
  }
  for (std::size_t i = 0; i < kDistances; ++i) limits_[i].resize(well[i]);
  if (preferred && *preferred < all_.size() && standings[*preferred] == static_cast<std::uint8_t>(Standing::kGood) &&
      busy(all_[*preferred], now) < limit(all_[*preferred].distance)) {
    tried.set(*preferred);
    return Pick{*preferred, Standing::kGood};
  }
  // The lowest bits decide about probing; mixed, the rest is as good as new for the choice of two.
  const bool probe_now = may_probe && of_standing[static_cast<std::size_t>(Standing::kProbe)] > 0 &&
                         ((chance & 7) == 0 || of_standing[static_cast<std::size_t>(Standing::kGood)] == 0);
  Standing wanted = Standing::kGood;
  if (probe_now) {
    wanted = Standing::kProbe;
  } else if (of_standing[static_cast<std::size_t>(Standing::kGood)] == 0) {
    wanted = of_standing[static_cast<std::size_t>(Standing::kPoor)] > 0 ? Standing::kPoor : Standing::kLastResort;
  }
  // Who is half-open is a last resort too, for what may not be a probe.
  const auto fits = [&](std::size_t at) {
    if (standings[at] == UINT8_MAX) return false;
    const auto stands = static_cast<Standing>(standings[at]);
    return stands == wanted || (wanted == Standing::kLastResort && stands == Standing::kProbe);
  };
  // Of those that stand badly the near ones first: what is wrong with them is known sooner, and they may be the only
  // ones that can keep what has to wait.
  std::size_t nearest = kDistances;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (fits(i)) nearest = std::min(nearest, static_cast<std::size_t>(all_[i].distance));
  }
  const auto tier = wanted == Standing::kGood    ? choose_tier(tiers, options_.spill_at)
                    : wanted == Standing::kProbe ? std::nullopt
                                                 : std::optional(nearest);
  std::size_t n = 0;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (!fits(i) || (tier && static_cast<std::size_t>(all_[i].distance) != *tier)) continue;
    candidates_[n++] = static_cast<std::uint16_t>(i);
  }
  if (n == 0) return std::nullopt;
  const std::size_t chosen = best_of(n, mix(chance), now);
  tried.set(chosen);
  return Pick{chosen, wanted};
}

Attempt Upstream::started(std::size_t at, Criticality of, Instant now) {
  Endpoint& endpoint = all_.at(at);
  ++endpoint.in_flight;
  limit_of(endpoint).started();
  return {at, of, endpoint.breaker.started(now), now};
}

void Upstream::finished(const Attempt& attempt, Outcome outcome, Instant now) {
  Endpoint& endpoint = all_.at(attempt.endpoint);
  const Duration took = std::max<Duration>(now - attempt.began, 0us);
  Kind& of = kind(attempt.of);
  GradientLimit& group = limit_of(endpoint);
  --endpoint.in_flight;
  switch (outcome) {
    case Outcome::kAnswered:
      group.answered(static_cast<std::size_t>(attempt.of), took, now);
      endpoint.cost.record(took, now);
      of.window.record(took, now);
      endpoint.breaker.finished(attempt.ticket, CallVerdict::kGood, took, now);
      ejection_.succeeded(attempt.endpoint);
      return;
    case Outcome::kFailed:
      // Its time says nothing: who fails at once is not quick.
      group.left();
      break;
    case Outcome::kUnreachable: {
      group.left();
      const bool before = endpoint.health.healthy();
      endpoint.health.request_failed();
      health_changed(attempt.endpoint, before, false, now);
      break;
    }
    case Outcome::kTimedOut: {
      // With more in flight than there should be it waited in a queue of our own making, which is no fault of its.
      const bool crowded = utilisation(now) >= 1;
      group.left();
      endpoint.cost.record_at_least(took, now);
      of.window.record(took, now);
      if (!crowded) break;
      endpoint.breaker.finished(attempt.ticket, CallVerdict::kNone, took, now);
      return;
    }
    case Outcome::kBusy:
      group.left();
      group.refused(now);
      endpoint.breaker.finished(attempt.ticket, CallVerdict::kNone, took, now);
      return;
    case Outcome::kDeclined:
      group.left();
      endpoint.breaker.finished(attempt.ticket, CallVerdict::kNone, took, now);
      return;
    case Outcome::kDropped: {
      group.left();
      endpoint.cost.record_at_least(took, now);
      // Without those that lost to a hedge, the slow ones would vanish from the window, and its p95 with them.
      const auto late = of.hedge.get(of.window, now);
      if (late && took >= *late) of.window.record(took, now);
      endpoint.breaker.finished(attempt.ticket, CallVerdict::kNone, took, now);
      return;
    }
  }
  endpoint.breaker.finished(attempt.ticket, CallVerdict::kFailed, took, now);
  ejection_.failed(attempt.endpoint, now);
}

void Upstream::told(std::size_t at, int in_flight, Duration waiting, Instant now) {
  Endpoint& endpoint = all_.at(at);
  endpoint.told_in_flight = in_flight;
  endpoint.told_at = now;
  if (waiting > options_.gradient.slack) limit_of(endpoint).refused(now);
}

int Upstream::busy(const Endpoint& endpoint, Instant now) const {
  return now - endpoint.told_at <= kToldFor ? std::max(endpoint.in_flight, endpoint.told_in_flight)
                                            : endpoint.in_flight;
}

void Upstream::checked(std::size_t at, bool passed, Instant now) {
  // Who is out comes back when its time is over, also where no request is made.
  ejection_.tick(now);
  Endpoint& endpoint = all_.at(at);
  const bool before = endpoint.health.healthy();
  if (passed) {
    endpoint.health.check_passed();
  } else {
    endpoint.health.check_failed();
  }
  health_changed(at, before, !passed, now);
  // A check is a probe as well: without it a breaker would stay half-open where no request may be risked.
  if (endpoint.breaker.state(now) != BreakerState::kHalfOpen || !endpoint.breaker.admits(now)) return;
  const auto ticket = endpoint.breaker.started(now);
  endpoint.breaker.finished(ticket, passed ? CallVerdict::kGood : CallVerdict::kFailed, 0us, now);
}

void Upstream::health_changed(std::size_t at, bool before, bool by_checks, Instant now) {
  const bool after = all_[at].health.healthy();
  if (!after) {
    ejection_.out_of_reach(at, true, by_checks, now);
  } else if (!before) {
    ejection_.out_of_reach(at, false, false, now);
  }
}

std::optional<Duration> Upstream::hedge_after(Criticality of, Instant now) {
  return kind(of).hedge.get(kind(of).window, now);
}

bool Upstream::take_hedge(Instant now) { return hedges_.take(utilisation(now), now); }

Duration Upstream::timeout(Criticality of, Instant now) { return kind(of).timeout.get(kind(of).window, now); }

}  // namespace evercert::traffic
