// SPDX-License-Identifier: Apache-2.0
// A group of endpoints that do the same, and all policies about them put together: whom to let in, whom to ask, how
// long to wait, whether to ask again or at the same time elsewhere. The edge, calls between nodes and the simulation of
// the tests drive the same object:
//
//   admits -> request -> pick -> started -> finished   (again from pick, when may_retry and take_retry say so)
//                                  '- after hedge_after: take_hedge -> pick -> started -> finished
//
// Who is asked: of those in good standing (checks pass, breaker closed, not ejected) the nearest that are not too busy,
// of these the better of two by peak EWMA. Who stands badly is asked only when nobody stands well.
// Pure: time and chance come in. One thread, or a mutex of the caller. Everything is O(endpoints) at most and allocates
// nothing after add().
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "traffic/policy/admission.h"
#include "traffic/policy/circuit_breaker.h"
#include "traffic/policy/criticality.h"
#include "traffic/policy/endpoint_health.h"
#include "traffic/policy/gradient_limit.h"
#include "traffic/policy/hedge.h"
#include "traffic/policy/latency_window.h"
#include "traffic/policy/locality.h"
#include "traffic/policy/outlier_ejection.h"
#include "traffic/policy/peak_ewma.h"
#include "traffic/policy/retry.h"
#include "traffic/policy/slow_start.h"
#include "traffic/policy/tuned_timeout.h"

namespace evercert::traffic {

struct UpstreamOptions {
  HealthThresholds health;
  BreakerOptions breaker;
  EjectionOptions ejection;
  GradientOptions gradient;
  AdmissionOptions admission;
  HedgeOptions hedge;
  TimeoutOptions timeout;
  SpillAt spill_at = kSpillAt;
  Duration ewma_decay = 10s, slow_start = 10s;
  double retry_share = 0.2, retry_floor_per_second = 10;
};

enum class Outcome : std::uint8_t {
  kAnswered,     // also with a 4xx: the endpoint is well
  kFailed,       // a 5xx other than 503, or broken off in the middle
  kUnreachable,  // no connection, or it broke
  kTimedOut,     // no answer in the time that was granted
  kBusy,         // 503 of one that has too much to do
  kDeclined,     // 503 for another reason (no majority, it is leaving): it is well, its time says nothing
  kDropped,      // the caller lost interest: a hedge that lost, a client that left
};

enum class Standing : std::uint8_t {
  kGood,
  kProbe,       // half-open: its answer decides whether it comes back
  kPoor,        // ejected or draining, but it can be reached; nobody stands better
  kLastResort,  // thought dead, or its breaker is open; nobody is left. Of no use once another has answered 503
};

struct Pick {
  std::size_t endpoint = 0;
  Standing standing = Standing::kGood;
};

// One call to one endpoint; whoever has it owes a finished().
struct Attempt {
  std::size_t endpoint = 0;
  Criticality of = Criticality::kIssuance;
  CircuitBreaker::Ticket ticket = 0;
  Instant began;
};

class Upstream {
 public:
  static constexpr std::size_t kMost = 256;
  using Tried = std::bitset<kMost>;

  // `salt`: random.
  explicit Upstream(UpstreamOptions options = {}, std::uint64_t salt = 0);
  // Its number, counted from 0. kInvalid: more than kMost.
  Result<std::size_t> add(Distance distance);

  // The door, for a request that comes from outside; false: it waits (door.h), or is answered 503 with
  // Admission::retry_after. `coming`: so many were let in and have not started yet.
  bool admits(Criticality of, Instant now, double coming = 0) const;
  void waited(Duration time, Instant now) { admission_.waited(time, now); }  // from arrival to admits()
  // One was let in: it feeds the budgets of retries and hedges.
  void request() {
    retries_.request();
    hedges_.request();
  }

  // Whom to ask next, and among `tried` from now on. `may_probe`: this request can be repeated if it fails. Nothing:
  // everybody has been tried. `chance`: 64 random bits. `preferred` is chosen when it stands well and has room: it has
  // something at hand that the others would have to look for.
  std::optional<Pick> pick(Tried& tried, bool may_leave_region, bool may_probe, std::uint64_t chance, Instant now,
                           std::optional<std::size_t> preferred = {});
  Attempt started(std::size_t endpoint, Criticality of, Instant now);
  void finished(const Attempt& attempt, Outcome outcome, Instant now);
  // It says of itself how much is in flight there, whoever asks, and how long what comes waits. Counts for a second:
  // in the choice, where others' requests are as much in the way as our own; and where there is a queue in spite of our
  // limit, that falls.
  void told(std::size_t endpoint, int in_flight, Duration waiting, Instant now);
  // An active check has passed or failed.
  void checked(std::size_t endpoint, bool passed, Instant now);

  bool take_retry(Instant now) { return retries_.take(now); }
  // When to send a copy elsewhere; nothing: do not. Only for what may_hedge.
  std::optional<Duration> hedge_after(Criticality of, Instant now);
  bool take_hedge(Instant now);
  // An operator says so, or it says so itself: as long as another one stands well it gets no new requests.
  void set_draining(std::size_t endpoint, bool draining) { all_.at(endpoint).draining = draining; }
  bool draining(std::size_t endpoint) const { return all_.at(endpoint).draining; }
  // For one attempt; the request's own deadline bounds it too.
  Duration timeout(Criticality of, Instant now);

  std::size_t size() const { return all_.size(); }
  // What others are told (the DNS, an operator): changes at most once in EjectionOptions::dwell.
  bool in_rotation(std::size_t endpoint) const { return !ejection_.ejected(endpoint); }
  std::uint64_t rotation_changes(std::size_t endpoint) const { return ejection_.changes(endpoint); }
  std::size_t in_rotation() const { return ejection_.in(); }
  bool healthy(std::size_t endpoint) const { return all_[endpoint].health.healthy(); }
  BreakerState breaker(std::size_t endpoint, Instant now) const { return all_[endpoint].breaker.state(now); }
  std::uint64_t breaker_opened(std::size_t endpoint) const { return all_[endpoint].breaker.opened(); }
  int in_flight(std::size_t endpoint) const { return all_[endpoint].in_flight; }
  Standing standing(std::size_t endpoint, Instant now) const;
  // How many may be in flight at an endpoint of this distance.
  double limit(Distance distance) const { return limits_[static_cast<std::size_t>(distance)].each(); }
  // In flight, of what may be, at those that stand well (see load()); 1 when there are no endpoints.
  double utilisation(Instant now) const;
  double pressure() const { return admission_.pressure(); }

 private:
  struct Endpoint {
    Distance distance;
    EndpointHealth health;
    CircuitBreaker breaker;
    PeakEwma cost;
    SlowStart start;
    int in_flight = 0;
    int told_in_flight = 0;
    Instant told_at{};
    bool was_good = true, draining = false;
  };
  struct Kind {
    LatencyWindow window;
    HedgeDelay hedge;
    TunedTimeout timeout;
  };
  struct Load {
    double in_flight = 0, limit = 0;
    Load& operator+=(const Load& other) {
      in_flight += other.in_flight;
      limit += other.limit;
      return *this;
    }
  };
  bool good(std::size_t at, Instant now) const;
  int busy(const Endpoint& endpoint, Instant now) const;
  Load load(Instant now) const;
  GradientLimit& limit_of(const Endpoint& endpoint) { return limits_[static_cast<std::size_t>(endpoint.distance)]; }
  std::uint16_t best_of(std::size_t candidates, std::uint64_t chance, Instant now) const;
  void health_changed(std::size_t at, bool before, bool by_checks, Instant now);
  Kind& kind(Criticality of) { return kinds_[static_cast<std::size_t>(of)]; }

  UpstreamOptions options_;
  std::uint64_t salt_;
  std::vector<Endpoint> all_;
  std::array<GradientLimit, kDistances> limits_;  // each for all of one distance: they differ in what the way takes
  OutlierEjection ejection_;
  Admission admission_;
  RetryBudget retries_;
  HedgeBudget hedges_;
  std::vector<Kind> kinds_;
  std::array<std::uint16_t, kMost> candidates_{};  // of the choice that is being made
};

}  // namespace evercert::traffic
