// SPDX-License-Identifier: Apache-2.0
// One request's way through an edge: the door, one endpoint after the other until one has answered, or the queue of
// one that keeps it. All that it decides by is in traffic/policy.
#pragma once

#include <memory>
#include <optional>

#include "base/task_scope.h"
#include "net/http_client.h"
#include "net/link_client.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/bodies.h"
#include "traffic/edge/counters.h"
#include "traffic/edge/cutoffs.h"
#include "traffic/edge/edge.h"
#include "traffic/edge/entrance.h"
#include "traffic/edge/guests.h"
#include "traffic/edge/releases.h"
#include "traffic/edge/shares_lead.h"

namespace evercert::traffic {

class Forwarder {
 public:
  // All outlive it.
  struct Parts {
    const EdgeOptions& options;
    Backends& backends;
    Entrance& entrance;
    Guests& guests;
    Releases& releases;
    SharesLead& shares;
    EdgeCounters& counters;
    net::LinkClient& link;
    net::HttpClient& client;
    MonotonicClock& clock;
    Random& random;
  };
  explicit Forwarder(Parts parts);

  // First to `preferred`, when there is one that is well.
  Task<net::HttpResponse> pass_on(net::HttpRequest request, std::optional<std::size_t> preferred);
  // Nodes over the link, other regions' edges by HTTP. `call` is read before the first suspension. kUnknownOutcome when
  // there is no answer in the time that is left, whatever became of the question.
  // A large answer comes in pieces, from an executor of an HttpServer. With `call.source` the time is `upload`'s.
  Task<Result<net::HttpResponse>> ask(Executor& on, std::size_t backend, const net::LinkCall& call, Duration left,
                                      const Upload* upload = nullptr);

 private:
  struct Passing;
  struct Race;
  struct RaceTurn;
  std::optional<std::size_t> place_of(const net::HttpRequest& request, const std::string& account,
                                      const Backends::Tried& avoid) const;
  Task<net::HttpResponse> carry(Executor& on, Passing& passing);
  Task<Result<net::HttpResponse>> ask_raced(Executor& on, Attempt first, const net::LinkCall& call,
                                            Backends::Tried& tried, Backends::Wish wish, Backends::Tried avoid,
                                            Instant deadline);
  void begin_lane(Executor& on, const std::shared_ptr<Race>& race, const Attempt& attempt, const net::LinkCall& call);
  Task<void> run_lane(Executor& on, std::shared_ptr<Race> race, std::size_t number, const net::LinkCall& call);
  Task<net::HttpResponse> have_queued(Executor& on, Passing& passing, std::size_t queuer, net::HttpResponse refused);
  Task<Result<net::HttpResponse>> ask_edge(Executor& on, std::size_t backend, const net::LinkCall& call, Duration left);
  void ended(const Attempt& attempt, const Result<net::HttpResponse>& result, Instant deadline);
  void ended(const Attempt& attempt, Outcome outcome);

  Parts to_;
  const std::string edge_prefix_;
  TaskScope lanes_;  // and what was asked
  Cutoffs cutoffs_;
};

}  // namespace evercert::traffic
