// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/backends.h"

#include "base/log.h"
#include "traffic/edge/forwarding.h"
#include "traffic/policy/subset.h"

namespace evercert::traffic {
namespace {

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

}  // namespace

Outcome outcome_of(const Result<net::HttpResponse>& result, bool all_time) {
  if (result) {
    if (result->status == 503) {
      if (result->headers.find(kElsewhere)) return Outcome::kAnswered;
      const bool of_no_load =
          result->headers.find(kMayQueue) || result->headers.find(kMode) || result->headers.find(kDraining);
      return of_no_load ? Outcome::kDeclined : Outcome::kBusy;
    }
    return result->status >= 500 ? Outcome::kFailed : Outcome::kAnswered;
  }
  switch (result.error().code) {
    case Code::kInvalid: return Outcome::kDeclined;  // nothing was sent: it is the request's own fault
    case Code::kUnknownOutcome: return all_time ? Outcome::kTimedOut : Outcome::kUnreachable;
    case Code::kUnavailable: return Outcome::kUnreachable;
    default: return Outcome::kFailed;
  }
}

Status Backends::add(EdgeEndpoint endpoint, bool remote) {
  // Nodes of all zones alike: an edge stands in no zone.
  EC_TRY(upstream_.add(remote ? Distance::kRemote : Distance::kRegion));
  std::string name = endpoint.target.address + ":" + std::to_string(endpoint.target.port);
  const std::uint64_t hash = stable_hash(name);
  all_.push_back(std::make_unique<Backend>(Backend{std::move(endpoint), remote, nodes_, std::move(name), hash}));
  counts_.push_back(std::make_unique<Counts>());
  if (!remote) ++nodes_;
  return {};
}

bool Backends::admits(Criticality of, double coming) const {
  std::lock_guard lock(mutex_);
  return upstream_.admits(of, clock_.now(), coming);
}

void Backends::request() {
  std::lock_guard lock(mutex_);
  upstream_.request();
}

Result<Attempt> Backends::begin(Tried& tried, const Wish& wish) {
  std::lock_guard lock(mutex_);
  const Instant now = clock_.now();
  chance_ += kGolden;
  Tried after = tried | wish.elsewhere;
  std::optional<Pick> picked;
  if (wish.elsewhere.any()) picked = upstream_.pick(after, true, false, mix(chance_), now);
  if (picked && picked->standing != Standing::kGood) picked.reset();
  if (!picked) after = tried | wish.avoid;
  if (!picked && wish.avoid.any())
    picked = upstream_.pick(after, false, wish.may_probe, mix(chance_), now, wish.preferred);
  if (picked && picked->standing != Standing::kGood) picked.reset();
  after = tried;
  if (picked) {
    after.set(picked->endpoint);
  } else {
    picked = upstream_.pick(after, wish.may_leave_region, wish.may_probe, mix(chance_), now, wish.preferred);
  }
  if (!picked || (wish.refused && picked->standing == Standing::kLastResort) ||
      (wish.only_well && picked->standing != Standing::kGood))
    return fail(Code::kUnavailable, "nobody is left to ask");
  if (wish.repeats && !upstream_.take_retry(now)) return fail(Code::kDenied, "the budget of repetitions is used up");
  if (wish.hedges && !upstream_.take_hedge(now)) return fail(Code::kDenied, "no copy may be sent now");
  tried = after;
  counts_[picked->endpoint]->requests.fetch_add(1, std::memory_order_relaxed);
  return upstream_.started(picked->endpoint, wish.of, now);
}

void Backends::finished(const Attempt& attempt, Outcome outcome) {
  if (outcome == Outcome::kFailed || outcome == Outcome::kUnreachable || outcome == Outcome::kTimedOut)
    counts_[attempt.endpoint]->failures.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  const bool before = upstream_.healthy(attempt.endpoint);
  upstream_.finished(attempt, outcome, clock_.now());
  log_change(attempt.endpoint, before);
}

void Backends::checked(std::size_t at, bool passed) {
  std::lock_guard lock(mutex_);
  const bool before = upstream_.healthy(at);
  upstream_.checked(at, passed, clock_.now());
  log_change(at, before);
}

void Backends::unreachable(std::size_t at) { blame(at, Outcome::kUnreachable); }

void Backends::told(std::size_t at, int in_flight, Duration waiting) {
  std::lock_guard lock(mutex_);
  upstream_.told(at, in_flight, waiting, clock_.now());
}

void Backends::broke_off(std::size_t at) {
  counts_[at]->failures.fetch_add(1, std::memory_order_relaxed);
  blame(at, Outcome::kFailed);
}

void Backends::blame(std::size_t at, Outcome outcome) {
  std::lock_guard lock(mutex_);
  const Instant now = clock_.now();
  const bool before = upstream_.healthy(at);
  upstream_.finished(upstream_.started(at, Criticality::kOperator, now), outcome, now);
  log_change(at, before);
}

void Backends::log_change(std::size_t at, bool before) const {
  if (before != upstream_.healthy(at)) log_info("edge: " + all_[at]->name + (before ? " is out" : " is back"));
}

bool Backends::healthy(std::size_t at) const {
  std::lock_guard lock(mutex_);
  return upstream_.healthy(at);
}

bool Backends::any_node_healthy() const { return healthy_node().has_value(); }

std::optional<std::size_t> Backends::healthy_node() const {
  std::lock_guard lock(mutex_);
  std::optional<std::size_t> found;
  for (std::size_t at = 0; at < all_.size(); ++at) {
    if (all_[at]->remote || !upstream_.healthy(at)) continue;
    if (!upstream_.draining(at)) return at;
    if (!found) found = at;
  }
  return found;
}

void Backends::set_draining(std::size_t at, Drained by, bool draining) {
  std::lock_guard lock(mutex_);
  auto& drained = counts_[at]->drained;
  drained[static_cast<std::size_t>(by)] = draining;
  const bool now = drained[0] || drained[1];
  if (upstream_.draining(at) == now) return;
  upstream_.set_draining(at, now);
  log_info("edge: " + all_[at]->name + (now ? " drains" : " drains no more"));
}

bool Backends::drained(std::size_t at, Drained by) const {
  std::lock_guard lock(mutex_);
  return counts_[at]->drained[static_cast<std::size_t>(by)];
}

}  // namespace evercert::traffic
