// SPDX-License-Identifier: Apache-2.0
#include "node/failover_succession.h"

#include "base/log.h"
#include "base/pause.h"
#include "net/ready_check.h"
#include "recovery/failover/record.h"
#include "store/keys.h"
#include "store/membership.h"

namespace evercert::node {
namespace {

constexpr Duration kEvery = 1s, kFreshTimeout = 1s;

}  // namespace

bool FailoverSuccession::unheard(RegionId region) const {
  const auto member = store::member_of(store_.membership()->record, region);
  return member.attested() && member.state() == store::v1::FENCED;
}

bool FailoverSuccession::may_contend() const { return !unheard(region_of(self_)); }

Task<std::vector<recovery::Contender>> FailoverSuccession::in_the_way(Executor& on) {
  std::vector<std::string> regions;
  for (const auto& [region, name] : roster_.now()->regions) {
    if (unheard(region)) regions.push_back(name);
  }
  std::vector<recovery::Contender> contenders;
  if (regions.empty()) co_return contenders;
  auto listing = space_.list(on, std::string(recovery::kLeaderName) + "/", false);
  const auto stored = co_await listing;
  if (!stored) co_return contenders;
  for (const auto& [key, entry] : *stored) contenders.push_back({entry.value, entry.lease});
  co_return recovery::passed_over(std::move(contenders), regions);
}

Task<void> FailoverSuccession::run(Executor& on) {
  for (;;) {
    auto reviewing = review(on);
    co_await reviewing;
    auto waiting = pause(on, kEvery);
    co_await waiting;
  }
}

Task<void> FailoverSuccession::review(Executor& on) {
  if (!may_contend()) co_return;
  auto looking = in_the_way(on);
  if ((co_await looking).empty()) co_return;
  // Whether it still is so, by a record that is surely up to date.
  auto freshening = store_.freshen(on, kGlobalGroup, store::membership_record(), kFreshTimeout);
  if (co_await freshening != store::Freshness::kFresh || !may_contend()) co_return;
  auto looking_again = in_the_way(on);
  for (const auto& one : co_await looking_again) {
    etcdserverpb::LeaseRevokeRequest gone;
    gone.set_id(one.lease);
    auto revoking = coordinator_.revoke(on, std::move(gone));
    // Another node may have been faster; what failed is tried again in a second.
    if (co_await revoking)
      log_warning("failover: " + net::printable(one.node) +
                  " cannot be the controller, nobody hears its region: its lease is ended");
  }
}

}  // namespace evercert::node
