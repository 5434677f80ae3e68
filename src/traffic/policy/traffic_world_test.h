// SPDX-License-Identifier: Apache-2.0
// Servers with workers and queues, edges with their Upstream, clients that come by chance: a whole region in one event
// queue on virtual time, from one seed. The policies are those of production; only what they decide about is made here.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "traffic/policy/door.h"
#include "traffic/policy/subset.h"
#include "traffic/policy/upstream.h"

namespace evercert::traffic {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(mix(seed + 1)) {}
  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15); }
  double uniform() { return static_cast<double>((next() >> 11) + 1) * 0x1.0p-53; }  // in (0, 1]
  double exponential(double mean);
  double log_normal(double mean, double sigma);

 private:
  std::uint64_t state_;
};

struct WorldOptions {
  std::uint64_t seed = 1;
  std::size_t servers = 8, edges = 2;
  int workers = 6;                // of a server: so many calls at once, the others wait in its queue
  std::size_t most_queued = 300;  // then a server answers 503
  double utilisation = 0.6;       // the work that comes, of what all servers can do
  double sigma = 0.8;             // of the log-normal service times: p99 is 4.7 times the mean
  double failing = 0;             // of the calls, by themselves
  Duration one_way = 250us, deadline = 10s;
  // Of the requests, and how long one takes, by Criticality.
  std::array<double, kCriticalities> mix{0, 0.05, 0.35, 0.10, 0.15, 0.20, 0.10, 0.05};
  std::array<double, kCriticalities> service_ms{5, 50, 20, 20, 60, 60, 100, 60};
  UpstreamOptions policy = {};
  bool hedging = true;
  std::optional<DoorOptions> door{};  // without: who is not admitted is refused at once
};

struct TrafficAttempt;

class TrafficWorld {
 public:
  explicit TrafficWorld(WorldOptions options);

  Instant now() const { return now_; }
  void run_until(Instant end);
  void at(Instant when, std::move_only_function<void()> what);
  void every(Duration period, std::function<void()> what);

  void kill(std::size_t server);     // connections are refused, what it had is broken off
  void restart(std::size_t server);  // empty
  void hang(std::size_t server);     // takes everything and answers nothing
  void set_fixed_service(std::size_t server, Duration service);
  void set_slowdown(double factor);  // of all servers
  void pause(Duration time);         // nobody begins anything for so long
  void set_utilisation(double utilisation) { rate_ = rate_for(utilisation); }
  void set_failing(double share) { options_.failing = share; }

  struct Answer {
    Instant arrived;
    Duration took;
    Criticality of;
  };
  struct Counts {
    std::uint64_t offered = 0, shed = 0, served = 0, failed = 0;
  };
  const Counts& counts(Criticality of) const { return counts_[static_cast<std::size_t>(of)]; }
  Counts protected_counts() const;
  Counts all_counts() const;
  void forget_counts() { counts_ = {}; }
  // Of the requests that arrived in [from, to) and were answered. `which`: of which classes.
  Duration p99(Instant from, Instant to, const std::function<bool(Criticality)>& which = nullptr) const;
  // The work that was done for them, of what all servers could do in that time.
  double goodput(Instant from, Instant to) const;

  std::vector<std::unique_ptr<Upstream>>& edges() { return edges_; }
  std::uint64_t requests() const { return requests_; }  // let in
  std::uint64_t retries() const { return retries_; }
  std::uint64_t hedges() const { return hedges_; }
  std::uint64_t sent_to(std::size_t server) const { return servers_[server].received; }
  double capacity_ms_per_s() const { return static_cast<double>(options_.servers) * options_.workers * 1000; }

 private:
  struct Request {
    Criticality of;
    Instant arrived;
    std::size_t edge;
    Upstream::Tried tried;
    int open = 0;
    bool done = false, refused = false;
    std::vector<std::weak_ptr<TrafficAttempt>> attempts;
  };
  friend struct TrafficAttempt;
  struct Server {
    bool up = true, hung = false;
    int busy = 0;
    std::uint64_t life = 0, received = 0;
    Duration fixed{0};
    std::deque<std::shared_ptr<TrafficAttempt>> queue;
    std::vector<std::shared_ptr<TrafficAttempt>> working;
  };
  struct Event {
    Instant when;
    std::uint64_t number;
    std::move_only_function<void()> what;
  };
  using RequestPtr = std::shared_ptr<Request>;
  using AttemptPtr = std::shared_ptr<TrafficAttempt>;

  double rate_for(double utilisation) const;
  void arrive();
  void begin(std::size_t edge, Criticality of);
  void let_in(std::size_t edge, Criticality of, Instant arrived);
  void turn_door(std::size_t edge);
  bool ask(const RequestPtr& request, bool only_good);
  void received(std::size_t server, const AttemptPtr& attempt);
  void work(std::size_t server);
  void worked(std::size_t server, const AttemptPtr& attempt);
  void answer(const AttemptPtr& attempt, Outcome outcome);
  void over(const AttemptPtr& attempt, Outcome outcome);
  void gave_up(const RequestPtr& request);
  void check(bool only_unhealthy);

  WorldOptions options_;
  Chance chance_;
  double rate_ = 0;  // requests a second
  double slowdown_ = 1;
  Instant paused_until_{0};
  Instant now_{1'000'000};
  std::uint64_t numbered_ = 0;
  std::vector<Event> events_;  // a heap
  std::vector<Server> servers_;
  std::vector<std::unique_ptr<Upstream>> edges_;
  struct Waiting {
    Criticality of;
    Instant arrived;
  };
  std::vector<Door> doors_;  // of the edges, when there are any
  std::vector<std::unordered_map<Door::Ticket, Waiting>> waiting_;
  bool turning_ = false;
  std::array<Counts, kCriticalities> counts_{};
  std::vector<Answer> answers_;
  std::uint64_t requests_ = 0, retries_ = 0, hedges_ = 0;
};

}  // namespace evercert::traffic
