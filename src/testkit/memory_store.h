// SPDX-License-Identifier: Apache-2.0
// A store in memory for tests of what stands on it. Commands go through the real state machine (store/catalog.h), and
// all readers see them at once: a cluster of any number of regions, as it is while nothing fails. What may go wrong
// with a command is planted.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "store/coordination_state.h"
#include "store/coordination_store.h"
#include "store/kv/mem_kv.h"
#include "store/membership.h"
#include "store/store.h"

namespace evercert::testkit {

class MemoryStore : public store::Store, public store::CoordinationStore {
 public:
  // As `own` sees it.
  explicit MemoryStore(std::size_t regions, RegionId own = RegionId{1}) : regions_(regions), membership_(own) {
    publish(store::first_membership());
    membership_.set_fresh_until(Instant{1});
  }

  // What becomes of a command and what its proposer is told.
  enum class Fate {
    kDone,
    kRefused,     // not proposed: kUnavailable
    kLost,        // not done, and kUnknownOutcome
    kAnswerLost,  // done, and kUnknownOutcome
    kHeld,        // as release() says, when it does
  };
  // Of the commands to come (of this kind), in order; then kDone again.
  void next(Fate fate, std::optional<store::v1::Command::KindCase> kind = {}) { fates_.emplace_back(kind, fate); }
  void forget_fates() { fates_.clear(); }
  // What was held first goes on.
  void release(Fate fate) {
    auto resolve = std::move(held_.front());
    held_.pop_front();
    resolve(fate);
  }
  // Called with each command before it is applied: what others do in between.
  std::function<void(GroupId, const store::v1::Command&)> before;
  // Commands that were applied, in order.
  std::vector<store::v1::Command> applied;
  std::vector<std::string> pending;  // serials, as if their revocation was not applied yet
  bool fresh = true, trusted_clock = true;
  bool several_zones = false;       // freshness has to be asked for
  int freshens = 0;                 // how many times it was
  std::int64_t proposed_at_ms = 0;  // what leaders' clocks say
  std::vector<store::GroupStatus> status;

  Task<Result<store::v1::Outcome>> submit(Executor& on, GroupId group, store::v1::Command command,
                                          Duration timeout) override;
  Task<store::Freshness> freshen(Executor& on, GroupId group, std::string record, Duration timeout) override;
  bool fresh_now(GroupId, std::string_view) override { return fresh && !several_zones; }
  Result<std::optional<store::v1::Certificate>> certificate(std::string_view serial) override;
  Result<std::optional<store::v1::Account>> account(std::string_view id) override;
  Result<std::optional<std::string>> account_of_key(std::string_view thumbprint) override;
  Result<std::vector<std::string>> order_ids(std::string_view account_id, std::string_view after,
                                             std::size_t limit) override;
  Result<std::optional<store::v1::Order>> order(std::string_view id) override;
  Result<std::optional<store::v1::Authorization>> authorization(std::string_view id) override;
  Result<std::optional<store::v1::Crl>> crl(RegionId issuer) override;
  Result<std::optional<BoundKey>> request_key(std::string_view key) override;
  Result<bool> alone_with_key(std::string_view key, std::string_view serial) override;
  Result<std::vector<store::v1::Certificate>> list_certificates(std::string_view after, std::size_t limit) override;
  Status revoked_certificates(RegionId issuer, std::int64_t now_seconds,
                              const std::function<void(const store::v1::Certificate&)>& each) override;
  Result<store::v1::Sweep> find_swept(GroupId group, const store::SweepLimits& limits, std::size_t most,
                                      store::SweepPlace& place) override {
    return store::find_swept(kv_, group, limits, most, place);
  }
  void on_certificate_changed(std::function<void(const store::v1::Certificate&)> callback) override {
    callbacks_.push_back(std::move(callback));
  }
  std::vector<std::string> pending_revocations(GroupId) override { return pending; }
  void on_records_replaced(std::function<void()> callback) override {
    replaced_callbacks_.push_back(std::move(callback));
  }
  // As if a snapshot had come.
  void replace_records() {
    for (auto& callback : replaced_callbacks_) callback();
  }
  std::vector<store::GroupStatus> group_status() override { return status; }
  std::uint64_t certificate_count() override;
  bool clock_trusted() override { return trusted_clock; }
  std::int64_t clock_offset_ms() override { return trusted_clock ? 0 : 60'000; }
  Epoch epoch() override { return membership_.epoch(); }
  std::shared_ptr<const store::MembershipView> membership() override { return membership_.view(); }
  Result<Epoch> signing_epoch() override { return membership_.signing_epoch(Instant{0}); }
  std::unique_ptr<coordination::View> coordination_view() override { return store::coordination_view(kv_); }
  void on_coordination(std::function<void(const coordination::Effects&)> told,
                       std::function<void()> replaced) override {
    coordination_callbacks_.push_back(std::move(told));
    replaced_callbacks_.push_back(std::move(replaced));
  }
  std::optional<Duration> lease_remaining(std::int64_t) override { return remaining; }
  std::optional<Duration> remaining = 5s;  // of every lease
  // Is on its way to be a voter: from the next change of members on it follows.
  std::optional<NodeId> learner;

 private:
  void publish(store::v1::Membership record) {
    const auto founding = static_cast<std::uint8_t>(regions_);
    const std::uint8_t regions = store::region_count(record, founding);
    std::vector<store::Configuration> groups;  // whoever is wanted votes at once
    if (auto voters = store::wanted_voters(record); !voters.empty()) {
      std::vector<NodeId> learners;
      if (learner && std::erase(voters, *learner) > 0) learners.push_back(*learner);
      groups.assign(regions + std::size_t{1}, store::configuration_of(store::Layout{std::move(voters), regions}));
      for (store::Configuration& group : groups) group.learners = learners;
    }
    membership_.publish({std::move(record), {}, std::move(groups), regions, founding});
  }
  Fate fate_of(const store::v1::Command& command);
  Result<store::v1::Outcome> apply(GroupId group, store::v1::Command command);
  template <class Record>
  Result<std::optional<Record>> load(GroupId group, const std::string& record) const;

  std::size_t regions_;
  store::MembershipBoard membership_;
  store::MemKv kv_;
  std::deque<std::pair<std::optional<store::v1::Command::KindCase>, Fate>> fates_;
  std::deque<std::move_only_function<void(Fate)>> held_;
  std::vector<std::function<void(const store::v1::Certificate&)>> callbacks_;
  std::vector<std::function<void()>> replaced_callbacks_;
  std::vector<std::function<void(const coordination::Effects&)>> coordination_callbacks_;
};

}  // namespace evercert::testkit
