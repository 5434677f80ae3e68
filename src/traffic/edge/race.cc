// SPDX-License-Identifier: Apache-2.0
// Reads that may be asked for twice at the same time: the first good answer of two counts. The second is sent when the
// first takes longer than most (a hedge, within its region), or longer than anything that is not lost (a repetition).
// The first is not given up for it: when everything is slow, it is still the one that has waited the longest.
#include <array>
#include <utility>

#include "traffic/edge/forwarder.h"

namespace evercert::traffic {

using net::HttpResponse;

// All on one thread. The lanes keep it; who waits may be gone before they end.
struct Forwarder::Race {
  struct Lane {
    Attempt attempt;
    bool settled = false;  // the policies have been told
    bool over = false, looked_at = false;
    std::optional<Result<HttpResponse>> result;
  };
  std::array<Lane, 2> lanes;
  std::size_t begun = 0;
  Instant deadline;
  bool alarm = false;
  std::coroutine_handle<> waiting;

  void wake() {
    if (waiting) std::exchange(waiting, {}).resume();
  }
  bool news() const {
    if (alarm) return true;
    for (std::size_t i = 0; i < begun; ++i) {
      if (lanes[i].over && !lanes[i].looked_at) return true;
    }
    return false;
  }
  bool all_over() const {
    for (std::size_t i = 0; i < begun; ++i) {
      if (!lanes[i].over) return false;
    }
    return true;
  }
};

struct Forwarder::RaceTurn {
  Race& race;
  ~RaceTurn() { race.waiting = {}; }
  bool await_ready() const { return race.news(); }
  void await_suspend(std::coroutine_handle<> handle) { race.waiting = handle; }
  void await_resume() const {}
};

void Forwarder::begin_lane(Executor& on, const std::shared_ptr<Race>& race, const Attempt& attempt,
                           const net::LinkCall& call) {
  const std::size_t number = race->begun++;
  race->lanes[number].attempt = attempt;
  lanes_.spawn(run_lane(on, race, number, call));
}

Task<void> Forwarder::run_lane(Executor& on, std::shared_ptr<Race> race, std::size_t number,
                               const net::LinkCall& call) {
  Race::Lane& lane = race->lanes[number];
  auto result = co_await ask(on, lane.attempt.endpoint, call, race->deadline - to_.clock.now());
  if (!std::exchange(lane.settled, true)) ended(lane.attempt, result, race->deadline);
  lane.over = true;
  lane.result = std::move(result);
  race->wake();
}

Task<Result<HttpResponse>> Forwarder::ask_raced(Executor& on, Attempt first, const net::LinkCall& call,
                                                Backends::Tried& tried, Backends::Wish wish, Backends::Tried avoid,
                                                Instant deadline) {
  auto race = std::make_shared<Race>();
  race->deadline = deadline;
  const auto [hedge, timeout] = to_.backends.with([&](Upstream& upstream, Instant now) {
    return std::pair{upstream.hedge_after(wish.of, now), upstream.timeout(wish.of, now)};
  });
  begin_lane(on, race, first, call);
  const auto arm = [&](Duration delay) {
    on.post_after(delay, [race] {
      race->alarm = true;
      race->wake();
    });
  };
  bool may_copy = hedge && *hedge < timeout && to_.backends.nodes() > 1;
  if (!race->lanes[0].over) arm(may_copy ? *hedge : timeout);
  for (;;) {
    RaceTurn turn{*race};
    co_await turn;
    for (std::size_t i = 0; i < race->begun; ++i) {
      Race::Lane& lane = race->lanes[i];
      if (!lane.over || std::exchange(lane.looked_at, true)) continue;
      const bool good = *lane.result && (*lane.result)->status != 503;
      if (!good && !race->all_over()) continue;
      for (Race::Lane& other : race->lanes) {
        if (&other == &lane || race->begun < 2 || std::exchange(other.settled, true)) continue;
        // That the first of two has lost says how slow it is, at least: without it a slow release would look quick.
        if (i == 1) to_.releases.finished(other.attempt, Outcome::kAnswered);
        ended(other.attempt, Outcome::kDropped);
      }
      if (good && i == 1) to_.counters.of(wish.of).hedges_won.fetch_add(1, std::memory_order_relaxed);
      co_return std::move(*lane.result);
    }
    if (!std::exchange(race->alarm, false) || race->begun == 2) continue;
    Backends::Wish second = wish;
    second.preferred.reset();
    second.only_well = true;
    second.hedges = may_copy;
    second.repeats = !may_copy;
    if (may_copy) second.may_leave_region = false;
    // A copy may also not be sent: to none that is avoided, then.
    Backends::Tried passed_over = may_copy ? tried | avoid : tried;
    const auto attempt = to_.backends.begin(passed_over, second);
    if (attempt) {
      tried.set(attempt->endpoint);
      if (may_copy) {
        to_.counters.of(wish.of).hedges.fetch_add(1, std::memory_order_relaxed);
      } else {
        to_.counters.retries.fetch_add(1, std::memory_order_relaxed);
        Race::Lane& slow = race->lanes[0];
        if (!std::exchange(slow.settled, true)) ended(slow.attempt, Outcome::kTimedOut);
      }
      begin_lane(on, race, *attempt, call);
    } else if (may_copy) {
      arm(timeout - *hedge);
    }
    may_copy = false;
  }
}

}  // namespace evercert::traffic
