// SPDX-License-Identifier: Apache-2.0
#include "store/witness.h"

#include <gtest/gtest.h>

#include "store/keys.h"
#include "store/kv/mem_kv.h"
#include "store/membership.h"
#include "store/snapshots.h"
#include "store/standby_duty.h"

namespace evercert::store {
namespace {

constexpr RegionId kA{1}, kB{2}, kW{3};
constexpr RegionSet kStoring = region_bit(kA) | region_bit(kB);
constexpr std::uint64_t kMost = 1000;

// A log of 30 entries: 1..10 of term 1, 11..20 of term 2, 21..30 of term 4.
Result<Term> term_of(LogIndex index) {
  if (index.value > 30) return fail(Code::kNotFound, "not in the log");
  return Term{index.value <= 10 ? 1u : index.value <= 20 ? 2u : 4u};
}

Layout layout() { return {{node_id(kA, 1), node_id(kB, 1), node_id(kW, 1)}, 3, region_bit(kW)}; }

class WitnessLogTest : public testing::Test {
 protected:
  std::uint64_t cut(std::uint64_t applied = 30, std::uint64_t first = 1, std::uint64_t most = kMost) const {
    return log.may_cut(kStoring, LogIndex{first}, LogIndex{applied}, most, term_of).value;
  }
  WitnessLog log;
};

TEST_F(WitnessLogTest, WhatARegionLacksStaysInTheLog) {
  log.reached(kA, {Term{4}, LogIndex{30}});
  EXPECT_EQ(cut(), 0u) << "the other has said nothing";
  log.reached(kB, {Term{2}, LogIndex{15}});
  EXPECT_EQ(cut(), 15u);
  log.reached(kB, {Term{2}, LogIndex{12}});
  EXPECT_EQ(cut(), 15u) << "an older word that comes late takes nothing back";
  log.reached(kB, {Term{4}, LogIndex{40}});
  EXPECT_EQ(cut(), 30u);
  EXPECT_EQ(cut(22), 22u) << "what is not applied stays";
}

TEST_F(WitnessLogTest, ALongerLogOfAnEarlierTermHoldsNothingOfALaterOne) {
  log.reached(kA, {Term{4}, LogIndex{30}});
  log.reached(kB, {Term{2}, LogIndex{500}});
  EXPECT_EQ(cut(), 20u);
}

TEST_F(WitnessLogTest, ANodeThatStartsAnewMayHaveLostWhatItHad) {
  log.reached(kA, {Term{4}, LogIndex{30}});
  log.reached(kB, {Term{4}, LogIndex{30}});
  log.forget(kB);
  EXPECT_EQ(cut(30, 5), 4u) << "nothing more is cut until it has said how far it is";
  log.reached(kB, {Term{4}, LogIndex{25}});
  EXPECT_EQ(cut(30, 5), 25u);
}

TEST_F(WitnessLogTest, ARegionThatIsGoneForLongDoesNotFillTheDisk) {
  log.reached(kA, {Term{4}, LogIndex{30}});
  log.reached(kB, {Term{1}, LogIndex{3}});
  EXPECT_EQ(cut(30, 1, 10), 20u);
  EXPECT_EQ(cut(8, 1, 10), 3u);
}

TEST(WitnessLayout, TheGlobalGroupAndAWitnessesOwnAreAtHomeWhereRecordsAre) {
  Layout witness_first = layout();
  witness_first.witnesses = region_bit(kA);
  EXPECT_EQ(witness_first.home(kGlobalGroup), kB);
  EXPECT_EQ(witness_first.home(GroupId{1}), kB);
  EXPECT_EQ(witness_first.home(GroupId{3}), kW);
  EXPECT_EQ(layout().home(GroupId{3}), kA);
  EXPECT_EQ(storing_regions(layout()), kStoring);
}

TEST(WitnessLayout, NoAccountIsAtHomeInAWitness) {
  for (unsigned char c = 0; c < 200; ++c) {
    const std::string thumbprint(32, static_cast<char>(c));
    EXPECT_NE(home_of_thumbprint(thumbprint, {3, region_bit(kB)}), kB);
    EXPECT_EQ(home_of_thumbprint(thumbprint, {3, 0}).value,
              home_of_thumbprint(thumbprint, {3, region_bit(RegionId{9})}).value);
  }
}

TEST(WitnessLayout, AFileThatSaysOtherwiseIsRefusedWithTheWayOut) {
  EXPECT_TRUE(same_witnesses(region_bit(kW), region_bit(kW)));
  EXPECT_NE(same_witnesses(region_bit(kW), 0).error().message.find("region 3"), std::string::npos);
  EXPECT_EQ(same_witnesses(0, region_bit(kB)).error().code, Code::kInvalid);
}

class WitnessMembershipTest : public testing::Test {
 protected:
  Code refusal(v1::RegionState state, RegionId region, bool attested = false) {
    v1::ChangeMembership wanted;
    wanted.set_expected_epoch(membership.epoch());
    wanted.set_region(region.value);
    wanted.set_state(state);
    wanted.set_attested(attested);
    wanted.set_attesters(~std::uint64_t{0});
    const auto changed = change(membership, wanted, 3, 1000);
    return changed ? Code::kInternal : changed.error().code;
  }
  Result<Changed> nodes(const std::vector<NodeId>& wanted) {
    v1::ChangeReplicas replicas;
    replicas.set_expected_epoch(membership.epoch());
    for (const NodeId node : wanted) replicas.add_nodes()->set_node(node.value);
    return change(membership, replicas, 3, 1000);
  }
  v1::Membership membership = first_membership(region_bit(kW));
};

TEST_F(WitnessMembershipTest, AWitnessCountsServesNobodyAndStaysWhatItIs) {
  EXPECT_EQ(serving(membership, 3), kStoring);
  EXPECT_EQ(counted(membership, 3), kStoring | region_bit(kW)) << "it attests";
  for (const auto state : {v1::FENCED, v1::DRAINING, v1::SERVING}) EXPECT_EQ(refusal(state, kW), Code::kConflict);
  EXPECT_EQ(refusal(v1::FENCED, kW, true), Code::kConflict);
  EXPECT_EQ(refusal(v1::WITNESS, kA), Code::kInvalid);
  EXPECT_EQ(crl_activation(membership, kW).signer, RegionId{0});
}

TEST_F(WitnessMembershipTest, AWitnessOfTheBeginningMayBeRemovedAndStaysOneInTheRecord) {
  v1::ChangeMembership remove;
  remove.set_expected_epoch(1);
  remove.set_region(kW.value);
  remove.set_state(v1::REMOVED);
  remove.set_by("alice");
  for (const RegionId region : {kA, kB}) remove.add_nodes()->set_node(node_id(region, 1).value);
  ASSERT_TRUE(change(membership, remove, 3, 1000));
  EXPECT_EQ(witnesses_of(membership), region_bit(kW));
  EXPECT_EQ(counted(membership, 3), kStoring);
  EXPECT_EQ(crl_activation(membership, kW).signer, RegionId{0}) << "nobody signs for it";
}

TEST_F(WitnessMembershipTest, AWitnessStandsInForNobodyAndTheLastRegionThatStoresStays) {
  v1::ChangeMembership fence;
  fence.set_expected_epoch(1);
  fence.set_region(kB.value);
  fence.set_state(v1::FENCED);
  fence.set_attested(true);
  fence.set_attesters(region_bit(kA) | region_bit(kW));
  ASSERT_TRUE(change(membership, fence, 3, 1000)) << "a region and a witness are a majority of three";
  EXPECT_EQ(crl_activation(membership, kB).signer, kA);
  EXPECT_EQ(refusal(v1::DRAINING, kA), Code::kConflict) << "no other region serves";
}

TEST_F(WitnessMembershipTest, WitnessesAreNeverAMajorityByThemselves) {
  EXPECT_EQ(nodes({node_id(kA, 1), node_id(kB, 1), node_id(kW, 1), node_id(kW, 2), node_id(kW, 3)}).error().code,
            Code::kConflict);
  EXPECT_TRUE(nodes({node_id(kA, 1), node_id(kB, 1), node_id(kW, 1), node_id(kW, 2)}));
}

class WitnessSnapshotTest : public testing::Test {
 protected:
  static constexpr GroupId kHome{1};
  WitnessSnapshotTest() {
    WriteBatch batch;
    batch.put(state_key(kHome, certificate_record(std::string(16, '\1'))), "a certificate");
    batch.put(state_key(kHome, configuration_record()), "members");
    batch.put(state_key(kHome, "zzz"), "a record behind");
    EXPECT_TRUE(source.write(batch));
  }
  // What the receiver holds in the end.
  std::map<std::string, std::string> moved(bool sender_knows, bool receiver_knows) {
    const Position position{Term{3}, LogIndex{40}};
    MemKv target;
    SnapshotSender sender{source, 5s, 1000};
    SnapshotReceiver receiver{target};
    EXPECT_TRUE(sender.prepare(kHome, node_id(kW, 1), position, sender_knows));
    std::string message;
    for (const auto& chunk : sender.begin(kHome, node_id(kW, 1), "the core's message", Instant{1})) {
      const auto received = receiver.chunk(node_id(kA, 1), chunk, receiver_knows);
      EXPECT_TRUE(received && received->ack && received->ack->ok());
      if (received) message = received->raft_message;
    }
    EXPECT_EQ(message, "the core's message");
    EXPECT_TRUE(receiver.mark(kHome, position));
    EXPECT_TRUE(receiver.swap_in(kHome));
    std::map<std::string, std::string> all;
    EXPECT_TRUE(target.scan(group_prefix(kHome), group_prefix(GroupId{2}), SIZE_MAX,
                            [&](std::string_view key, std::string_view value) {
                              all.emplace(key, value);
                              return true;
                            }));
    return all;
  }
  MemKv source;
};

TEST_F(WitnessSnapshotTest, OfAHomeGroupAWitnessIsGivenItsMembersAlone) {
  const std::map<std::string, std::string> members{{state_key(kHome, configuration_record()), "members"}};
  EXPECT_EQ(moved(true, true), members);
  EXPECT_EQ(moved(false, true), members) << "a witness keeps no record, whatever it is sent";
}

TEST_F(WitnessSnapshotTest, AReplicaThatStoresIsGivenAll) { EXPECT_EQ(moved(false, false).size(), 3u); }

}  // namespace
}  // namespace evercert::store
