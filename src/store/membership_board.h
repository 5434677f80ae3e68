// SPDX-License-Identifier: Apache-2.0
// What a node knows of membership, for any of its threads: the store writes, everybody reads. A question for the right
// to sign is two atomic loads.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/configuration.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

struct MembershipView {
  v1::Membership record;
  // By region: in how many home groups, as far as this node has applied them, its last fence is carried out, or
  // the last change of who signs its CRLs.
  std::vector<std::uint32_t> carried_out;
  // By group: its members as this node's state has them.
  std::vector<Configuration> groups{};
  std::uint8_t regions = 0;              // that the cluster has by this record
  std::uint8_t founding = 0;             // and had in the beginning
  std::string lineage{};                 // the reformation that the groups follow on
  std::map<NodeId, RegionRoll> named{};  // the regions of each node's cluster file, as it said last
  RegionSet witnesses = 0;               // since the beginning
};

// The voters of all groups are those that are wanted, and nothing is under way: the global group is the last to come to
// it, and once there it stays so until another epoch. Else kConflict.
Status members_settled(const MembershipView& view);

class MembershipBoard {
 public:
  explicit MembershipBoard(RegionId own) : own_(own) {}

  void publish(MembershipView view);
  // The region held a lease of the global group so shortly before `until` that no attestation can have fenced it.
  void set_fresh_until(Instant until) { fresh_until_us_.store(until.us, std::memory_order_release); }

  std::shared_ptr<const MembershipView> view() const;
  // That the cluster has, and had in the beginning.
  std::uint8_t regions() const { return regions_.load(std::memory_order_acquire); }
  std::uint8_t founding() const { return founding_.load(std::memory_order_acquire); }
  Epoch epoch() const { return Epoch{word_.load(std::memory_order_acquire) >> 1}; }
  // The epoch under which this region's key may be used now. kUnavailable: it is fenced, removed or joining, or no
  // region of the cluster yet, since when, by whom, and what to do; or this node cannot know whether it is.
  Result<Epoch> signing_epoch(Instant now) const;

 private:
  Error why_not() const;

  RegionId own_;
  std::atomic<std::uint64_t> word_{1 << 1};  // epoch, and a last bit: the own region does not sign
  std::atomic<std::int64_t> fresh_until_us_{0};
  std::atomic<std::uint8_t> regions_{0}, founding_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const MembershipView> view_ = std::make_shared<MembershipView>();
};

}  // namespace evercert::store
