// SPDX-License-Identifier: Apache-2.0
// What must hold of membership: what each node shows of it, what each group applies, what each node attests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/operator.h"
#include "sim/world.h"
#include "store/membership_board.h"

namespace evercert::sim {

class MembershipChecker {
 public:
  MembershipChecker(World& world, std::function<void(std::string)> violation)
      : world_(world), violation_(std::move(violation)) {}

  void started(NodeId node) { seen_.erase(node); }
  void ticked(NodeId node);
  // After every turn of a node.
  void worked(NodeId node);
  // An entry that nobody had applied before.
  void applied_first(GroupId group, const store::v1::Command& command);
  // A CRL number of `issuer` that `signer` was given, asking in `epoch`.
  void crl_number(RegionId issuer, RegionId signer, std::uint64_t epoch, std::uint64_t number);
  // Nothing is left to be done: every region serves but for what the operator has put otherwise, every fence is carried
  // out in every group. What is missing, or nothing.
  std::optional<std::string> unfinished(const Operator* person) const;
  void check_end(const Operator* person);

 private:
  void check_record(NodeId node, const store::v1::Membership& record);
  void check_stand_ins(const store::v1::Membership& record);
  void check_removals(const store::v1::Membership& record);
  // Who signs the CRLs of `issuer` in that epoch; 0: nobody, or no node has shown that epoch.
  RegionId crl_signer(RegionId issuer, std::uint64_t epoch) const;
  void applied_crl(GroupId group, const store::v1::Crl& crl);
  void check_crls();
  void check_change(const store::v1::Membership& record, const store::v1::RegionMember& member);

  World& world_;
  std::function<void(std::string)> violation_;
  std::map<NodeId, std::shared_ptr<const store::MembershipView>> seen_;
  std::map<std::uint64_t, std::string> records_;                          // by epoch
  std::map<RegionId, std::uint64_t> removed_;                             // in which epoch
  std::map<std::pair<NodeId, RegionId>, std::vector<Instant>> attested_;  // when a node said that a region is silent
  std::map<std::pair<GroupId, RegionId>, std::uint64_t> floors_;          // that were applied
  struct Taken {
    RegionId signer;
    std::uint64_t epoch = 0;
  };
  std::map<RegionId, std::map<std::uint64_t, Taken>> crl_numbers_;  // by number
  std::map<RegionId, std::uint64_t> published_;                     // the list that must be stored
  std::set<std::string> stored_;                                    // serial numbers of what was signed in time
  std::map<std::string, std::uint64_t> too_late_;                   // signed in that epoch, below the floor
};

}  // namespace evercert::sim
