// SPDX-License-Identifier: Apache-2.0
// The failover controller's decisions, as one state machine for all kinds of incidents: from what is seen, what persons
// order and what time it is, to a new state, entries of the log, and at most one effect. Pure; one thread.
//
//   confirmed -> (awaits approval) -> executing -> stabilised -> returning -> closed
//
// It refuses to decide while what it sees is old. Whatever it decides is written down, together with its place in the
// log, before it is carried out (session.h); a successor goes on from there.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "recovery/failover/detection.h"
#include "recovery/failover/model.h"
#include "recovery/failover/planted.h"
#include "recovery/failover/record.h"

namespace evercert::recovery {

// To be carried out after the turn is written. Doing it twice is doing it once.
struct Effect {
  std::uint64_t incident = 0;
  std::uint32_t plan = 0;
  std::size_t step = 0;
  StepKind kind = StepKind::kWarm;
  RegionId region;
  Standing to = Standing::kServing;  // of a change of membership
  std::uint64_t epoch = 0;           // that it compares with
  std::string id;                    // the same for every repetition
  std::int64_t token = 0;            // the store carries a change out only for whoever holds the lock with it
  std::string why;
};

struct Turn {
  bool write = false;
  std::vector<LogEntry> log;
  std::optional<traffic::Shares> shares;
  std::vector<std::string> orders;  // keys of those that were dealt with
  // Entries of the log that go, and the last of them, which becomes the anchor of the rest.
  std::vector<std::uint64_t> trimmed;
  std::optional<LogEntry> anchor;
  std::optional<Effect> effect;
};

class Controller {
 public:
  // `node`: who it is, for the log; `token`: under which it may write.
  Controller(Cluster cluster, Policy policy, State state, std::string node, std::int64_t token, Times started,
             Bug bug = Bug::kNone);

  // Looks, and decides. To be called about once a second, and never between a turn that says `write` and its writing.
  Turn advance(const Picture& picture, const std::vector<Order>& orders, Instant now);
  // The last turn is written: what it changed is so since now at the latest.
  void written(Instant now);
  // How an effect ended: what was seen, or why it did not come about. kConflict: the epoch has moved, or the store
  // refuses; kUnavailable, kUnknownOutcome, kExpired: it is tried again as it is.
  void ended(const Effect& effect, Result<std::string> how, Instant now);

  void set_policy(Policy policy) { policy_ = std::move(policy); }
  const Policy& policy() const { return policy_; }
  const State& state() const { return state_; }
  const Cluster& cluster() const { return cluster_; }
  const Times& times() const { return started_; }
  // Why nothing is decided at present; empty: it is.
  const std::string& refusal() const { return refusal_; }

 private:
  using Subject = std::pair<Kind, std::string>;
  void obey(const Order& order, const Sight& sight);
  void order_plan(const Order& order, const Sight& sight);
  void order_approval(const Order& order, Incident& incident, const Sight& sight);
  void order_abort(const Order& order, Incident& incident, Instant now);
  void hear_words(const Sight& sight);
  void hear_word(RegionId region, const Member::Word& word, Instant now);
  Duration to_be_confirmed(const Finding& finding, Instant& since) const;
  void open_new(const std::vector<Finding>& found, const Sight& sight);
  Incident& open(Incident incident, Instant now);
  void progress(Incident& incident, const Sight& sight);
  void decide(Incident& incident, const Sight& sight);
  void run(Incident& incident, const Sight& sight);
  bool run_step(Incident& incident, std::size_t at, const Sight& sight);
  void act(Incident& incident, std::size_t at, const Sight& sight, const std::string& evidence);
  void end_step(Incident& incident, std::size_t at, StepState state, std::string evidence, Instant now);
  void begin_return(Incident& incident, Instant now);
  void fall_back(Incident& incident, const std::string& why, const Sight& sight);
  void enter(Incident& incident, Phase phase, std::string evidence, Instant now);
  void close(Incident& incident, std::string outcome, Instant now);
  bool let_go(Incident& incident, const Sight& sight);
  bool well_for_long(const Incident& incident, Duration hold, const Sight& sight);
  void note(Incident& incident, std::string text);
  void ask(Incident& incident, const std::string& why);
  void log(const Incident* incident, std::string text, std::string evidence, Instant now);
  Incident* find(std::uint64_t id);
  bool pending(const Incident& incident) const;
  const Incident* keeps_away(NodeId node, const Incident& but) const;
  void trim();
  void trim_log(const std::vector<LogEntry>& oldest, Instant now);

  const Cluster cluster_;
  Policy policy_;
  State state_;
  const std::string node_;
  const std::int64_t token_;
  const Times started_;
  const Bug bug_;

  std::string refusal_;
  std::map<Subject, Instant> found_since_;
  std::map<std::uint64_t, Instant> well_since_;  // by incident
  std::optional<Effect> under_way_;
  std::set<RegionId> changing_;  // whose traffic the turn changes
  std::set<NodeId> changing_nodes_;
  Turn turn_;  // in the making
};

// What a controller would do about the region now, as a person reads it: the steps, each with how it would be judged.
struct Rehearsal {
  std::string forbidden;  // why it would not begin; empty: it would
  std::vector<std::pair<Step, std::string>> steps;
};
Rehearsal rehearse(const Cluster& cluster, const Policy& policy, const Picture& picture, RegionId region, Instant now);

}  // namespace evercert::recovery
