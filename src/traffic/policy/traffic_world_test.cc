// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/traffic_world_test.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/check.h"

namespace evercert::traffic {

struct TrafficAttempt {
  TrafficWorld::RequestPtr request;
  Attempt attempt;
  bool over = false;
};

namespace {

bool later(const auto& a, const auto& b) { return a.when != b.when ? a.when > b.when : a.number > b.number; }

// What may_hedge and may_retry say of the paths of these classes, with the edge's request id for issuances.
bool hedged(Criticality of) {
  return of == Criticality::kOcsp || of == Criticality::kCrl || of == Criticality::kListing;
}

}  // namespace

double Chance::exponential(double mean) { return -std::log(uniform()) * mean; }

double Chance::log_normal(double mean, double sigma) {
  const double normal = std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform());
  return mean * std::exp(normal * sigma - sigma * sigma / 2);
}

TrafficWorld::TrafficWorld(WorldOptions options) : options_(options), chance_(options.seed), servers_(options.servers) {
  for (std::size_t e = 0; e < options_.edges; ++e) {
    edges_.push_back(std::make_unique<Upstream>(options_.policy, chance_.next()));
    for (std::size_t s = 0; s < options_.servers; ++s)
      EC_CHECK(edges_.back()->add(Distance::kZone).has_value(), "too many servers for one edge");
  }
  if (options_.door) {
    doors_.assign(options_.edges, Door(*options_.door));
    waiting_.resize(options_.edges);
  }
  rate_ = rate_for(options_.utilisation);
  arrive();
  every(5s, [this] { check(false); });
  every(500ms, [this] { check(true); });
}

double TrafficWorld::rate_for(double utilisation) const {
  double work_ms = 0;
  for (std::size_t i = 0; i < kCriticalities; ++i) work_ms += options_.mix[i] * options_.service_ms[i];
  return utilisation * capacity_ms_per_s() / work_ms;
}

void TrafficWorld::at(Instant when, std::move_only_function<void()> what) {
  events_.push_back({when, numbered_++, std::move(what)});
  std::push_heap(events_.begin(), events_.end(), [](const Event& a, const Event& b) { return later(a, b); });
}

void TrafficWorld::every(Duration period, std::function<void()> what) {
  at(now_ + period, [this, period, what = std::move(what)] {
    what();
    every(period, what);
  });
}

void TrafficWorld::run_until(Instant end) {
  while (!events_.empty() && events_.front().when <= end) {
    std::pop_heap(events_.begin(), events_.end(), [](const Event& a, const Event& b) { return later(a, b); });
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.when;
    event.what();
  }
  now_ = end;
}

void TrafficWorld::arrive() {
  at(now_ + Duration{static_cast<std::int64_t>(chance_.exponential(1e6 / rate_))}, [this] {
    double drawn = chance_.uniform();
    std::size_t of = 0;
    while (of + 1 < kCriticalities && drawn > options_.mix[of]) drawn -= options_.mix[of++];
    begin(chance_.next() % edges_.size(), static_cast<Criticality>(of));
    arrive();
  });
}

void TrafficWorld::begin(std::size_t edge, Criticality of) {
  Counts& counts = counts_[static_cast<std::size_t>(of)];
  ++counts.offered;
  if (doors_.empty()) {
    if (!edges_[edge]->admits(of, now_)) {
      ++counts.shed;
      return;
    }
    return let_in(edge, of, now_);
  }
  const auto arrival = doors_[edge].arrives(
      of, now_, [&](Criticality c, double coming) { return edges_[edge]->admits(c, now_, coming); });
  if (arrival.displaced) {
    ++counts_[static_cast<std::size_t>(waiting_[edge].at(*arrival.displaced).of)].shed;
    waiting_[edge].erase(*arrival.displaced);
  }
  if (arrival.entry == Entry::kIn) return let_in(edge, of, now_);
  if (arrival.entry == Entry::kRefused) {
    ++counts.shed;
    return;
  }
  waiting_[edge].emplace(arrival.ticket, Waiting{of, now_});
  at(now_ + doors_[edge].patience(of), [this, edge] { turn_door(edge); });
}

void TrafficWorld::turn_door(std::size_t edge) {
  // Whoever begins may end at once, and so come here again.
  if (turning_) return;
  turning_ = true;
  Door::Turn turn;
  doors_[edge].turn(
      now_, [&](Criticality c, double coming) { return edges_[edge]->admits(c, now_, coming); }, turn);
  for (const auto ticket : turn.refused) {
    ++counts_[static_cast<std::size_t>(waiting_[edge].at(ticket).of)].shed;
    waiting_[edge].erase(ticket);
  }
  for (const auto ticket : turn.in) {
    const Waiting one = waiting_[edge].at(ticket);
    waiting_[edge].erase(ticket);
    doors_[edge].begun();
    let_in(edge, one.of, one.arrived);
  }
  turning_ = false;
}

void TrafficWorld::let_in(std::size_t edge, Criticality of, Instant arrived) {
  Upstream& upstream = *edges_[edge];
  upstream.request();
  ++requests_;
  auto request = std::make_shared<Request>();
  request->of = of;
  request->arrived = arrived;
  request->edge = edge;
  if (!ask(request, false)) {
    gave_up(request);
    return;
  }
  if (!options_.hedging || !hedged(of)) return;
  const auto delay = upstream.hedge_after(of, now_);
  if (!delay) return;
  at(now_ + *delay, [this, request] {
    if (request->done || request->open != 1 || !edges_[request->edge]->take_hedge(now_)) return;
    if (ask(request, true)) ++hedges_;
  });
}

bool TrafficWorld::ask(const RequestPtr& request, bool only_good) {
  Upstream& upstream = *edges_[request->edge];
  const Duration left = request->arrived + options_.deadline - now_;
  if (left <= 50ms) return false;
  const auto pick = upstream.pick(request->tried, true, !only_good, chance_.next(), now_);
  if (!pick || (only_good && pick->standing != Standing::kGood)) return false;
  if (pick->standing == Standing::kLastResort && request->refused) return false;
  auto attempt = std::make_shared<TrafficAttempt>();
  attempt->request = request;
  attempt->attempt = upstream.started(pick->endpoint, request->of, now_);
  ++request->open;
  request->attempts.push_back(attempt);
  at(now_ + options_.one_way, [this, attempt] { received(attempt->attempt.endpoint, attempt); });
  const Duration patience = std::min(left, upstream.timeout(request->of, now_));
  at(now_ + patience, [this, attempt] { over(attempt, Outcome::kTimedOut); });
  return true;
}

void TrafficWorld::received(std::size_t at_server, const AttemptPtr& attempt) {
  Server& server = servers_[at_server];
  ++server.received;
  if (!server.up) return answer(attempt, Outcome::kUnreachable);
  if (server.queue.size() >= options_.most_queued) return answer(attempt, Outcome::kBusy);
  server.queue.push_back(attempt);
  work(at_server);
}

void TrafficWorld::work(std::size_t at_server) {
  Server& server = servers_[at_server];
  while (now_ >= paused_until_ && server.up && !server.hung && server.busy < options_.workers &&
         !server.queue.empty()) {
    auto attempt = std::move(server.queue.front());
    server.queue.pop_front();
    ++server.busy;
    server.working.push_back(attempt);
    const double mean_ms = options_.service_ms[static_cast<std::size_t>(attempt->request->of)] * slowdown_;
    const Duration service =
        server.fixed > 0us ? server.fixed
                           : Duration{static_cast<std::int64_t>(chance_.log_normal(mean_ms * 1000, options_.sigma))};
    at(now_ + service, [this, at_server, attempt, life = server.life] {
      if (servers_[at_server].life == life && !servers_[at_server].hung) worked(at_server, attempt);
    });
  }
}

void TrafficWorld::worked(std::size_t at_server, const AttemptPtr& attempt) {
  Server& server = servers_[at_server];
  --server.busy;
  std::erase(server.working, attempt);
  answer(attempt, chance_.uniform() <= options_.failing ? Outcome::kFailed : Outcome::kAnswered);
  work(at_server);
}

void TrafficWorld::answer(const AttemptPtr& attempt, Outcome outcome) {
  at(now_ + options_.one_way, [this, attempt, outcome] { over(attempt, outcome); });
}

void TrafficWorld::over(const AttemptPtr& attempt, Outcome outcome) {
  if (attempt->over) return;
  attempt->over = true;
  const RequestPtr request = attempt->request;
  Upstream& upstream = *edges_[request->edge];
  upstream.finished(attempt->attempt, outcome, now_);
  if (!doors_.empty()) turn_door(request->edge);
  --request->open;
  if (request->done) return;
  Counts& counts = counts_[static_cast<std::size_t>(request->of)];
  if (outcome == Outcome::kAnswered) {
    request->done = true;
    ++counts.served;
    answers_.push_back({request->arrived, now_ - request->arrived, request->of});
    for (const auto& one : request->attempts) {
      const AttemptPtr other = one.lock();
      if (other != nullptr && !other->over) over(other, Outcome::kDropped);
    }
    request->attempts.clear();
    return;
  }
  if (outcome == Outcome::kBusy) request->refused = true;
  if (request->open > 0) return;  // a copy is under way
  if (upstream.take_retry(now_) && ask(request, false)) {
    ++retries_;
    return;
  }
  gave_up(request);
}

void TrafficWorld::gave_up(const RequestPtr& request) {
  request->done = true;
  request->attempts.clear();
  ++counts_[static_cast<std::size_t>(request->of)].failed;
}

void TrafficWorld::check(bool only_unhealthy) {
  for (auto& edge : edges_) {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      if (only_unhealthy && edge->healthy(i)) continue;
      edge->checked(i, servers_[i].up && !servers_[i].hung, now_);
    }
  }
}

void TrafficWorld::kill(std::size_t at_server) {
  Server& server = servers_[at_server];
  server.up = false;
  ++server.life;
  server.busy = 0;
  for (auto& attempt : std::exchange(server.working, {})) answer(attempt, Outcome::kFailed);
  for (auto& attempt : std::exchange(server.queue, {})) answer(attempt, Outcome::kFailed);
}

void TrafficWorld::restart(std::size_t at_server) {
  servers_[at_server].up = true;
  servers_[at_server].hung = false;
}

void TrafficWorld::hang(std::size_t at_server) { servers_[at_server].hung = true; }

void TrafficWorld::set_fixed_service(std::size_t at_server, Duration service) { servers_[at_server].fixed = service; }

void TrafficWorld::pause(Duration time) {
  paused_until_ = now_ + time;
  at(paused_until_, [this] {
    for (std::size_t i = 0; i < servers_.size(); ++i) work(i);
  });
}

void TrafficWorld::set_slowdown(double factor) { slowdown_ = factor; }

TrafficWorld::Counts TrafficWorld::all_counts() const {
  Counts sum;
  for (const Counts& c : counts_) {
    sum.offered += c.offered;
    sum.shed += c.shed;
    sum.served += c.served;
    sum.failed += c.failed;
  }
  return sum;
}

TrafficWorld::Counts TrafficWorld::protected_counts() const {
  Counts sum;
  for (std::size_t i = 0; i < kCriticalities; ++i) {
    if (!is_protected(static_cast<Criticality>(i))) continue;
    sum.offered += counts_[i].offered;
    sum.shed += counts_[i].shed;
    sum.served += counts_[i].served;
    sum.failed += counts_[i].failed;
  }
  return sum;
}

Duration TrafficWorld::p99(Instant from, Instant to, const std::function<bool(Criticality)>& which) const {
  std::vector<Duration> took;
  for (const Answer& answer : answers_) {
    if (answer.arrived >= from && answer.arrived < to && (!which || which(answer.of))) took.push_back(answer.took);
  }
  EC_CHECK(!took.empty(), "no answers to take a quantile of");
  const auto place = took.begin() + static_cast<std::ptrdiff_t>(took.size() * 99 / 100);
  std::nth_element(took.begin(), place, took.end());
  return *place;
}

double TrafficWorld::goodput(Instant from, Instant to) const {
  double work_ms = 0;
  for (const Answer& answer : answers_) {
    const Instant done = answer.arrived + answer.took;
    if (done >= from && done < to) work_ms += options_.service_ms[static_cast<std::size_t>(answer.of)];
  }
  return work_ms / (capacity_ms_per_s() * static_cast<double>((to - from).count()) / 1e6);
}

}  // namespace evercert::traffic
