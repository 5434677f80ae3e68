// SPDX-License-Identifier: Apache-2.0
// Fences in whole clusters: when they come, when they must not, and what goes on meanwhile.
#include "store/membership.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "sim/operator.h"
#include "store/keys.h"
#include "store/membership_board.h"
#include "store/standby_duty.h"

namespace evercert::sim {
namespace {

using store::v1::RegionState;

class MembershipSimTest : public testing::Test {
 protected:
  MembershipSimTest() : random(7), world(options(), random), person(world, SeededRandom(8)) {
    set_log_level(LogLevel::kOff);
    run_for(10s);
  }
  ~MembershipSimTest() override { set_log_level(LogLevel::kInfo); }
  static WorldOptions options() {
    WorldOptions options;  // fenced 3 s after the lapse of promises of 1.5 s, admitted after 1 s
    options.loss = options.late = 0;
    return options;
  }
  void cut(NodeId one, NodeId other) {
    world.cut(one, other);
    world.cut(other, one);
  }
  void isolate(NodeId alone) {
    for (const NodeId other : world.nodes()) {
      if (other != alone) cut(alone, other);
    }
  }
  void run_for(Duration duration) { world.run_until(world.now() + duration); }
  RegionState state(NodeId seen_by, NodeId of) {
    return store::member_of(world.engine(seen_by)->membership().view()->record, region_of(of)).state();
  }
  std::uint64_t epoch(NodeId seen_by) { return world.engine(seen_by)->membership().epoch().value; }
  bool may_sign(NodeId node) {
    return world.engine(node)->membership().signing_epoch(world.local_now(node)).has_value();
  }
  // An issuance by the node's own region, under `epoch`, in its own group: its outcome's code, if it comes in time.
  std::optional<std::uint32_t> write(NodeId through, std::uint64_t under, Duration within = 2s) {
    store::v1::Command command;
    auto* certificate = command.mutable_issue()->mutable_certificate();
    certificate->set_serial(std::string(1, static_cast<char>(region_of(c).value)) +
                            std::to_string(100'000'000'000'000 + ++written));
    certificate->set_der("der");
    certificate->set_issuer_region(region_of(through).value);
    certificate->set_epoch(under);
    return submit(through, home_group(region_of(c)), command, within);
  }
  // A number for, and then the list itself, of c's issuing CA.
  std::optional<std::uint32_t> take_number(NodeId through, std::uint64_t under) {
    store::v1::Command command;
    command.mutable_allocate_crl_number()->set_issuer_region(region_of(c).value);
    command.mutable_allocate_crl_number()->set_signer_region(region_of(through).value);
    command.mutable_allocate_crl_number()->set_epoch(under);
    return submit(through, kGlobalGroup, command, 2s);
  }
  std::optional<std::uint32_t> put_list(NodeId through, std::uint64_t under, std::uint64_t number) {
    store::v1::Command command;
    command.mutable_put_crl()->mutable_crl()->set_issuer_region(region_of(c).value);
    command.mutable_put_crl()->mutable_crl()->set_number(number);
    command.mutable_put_crl()->mutable_crl()->set_epoch(under);
    return submit(through, home_group(region_of(c)), command, 2s);
  }
  store::Activation activation(NodeId seen_by) {
    return store::crl_activation(world.engine(seen_by)->membership().view()->record, region_of(c));
  }
  std::optional<std::uint32_t> submit(NodeId through, GroupId group, const store::v1::Command& command,
                                      Duration within) {
    auto code = std::make_shared<std::optional<std::uint32_t>>();
    world.engine(through)->submit(group, command.SerializeAsString(), world.local_now(through) + within,
                                  [code](Result<store::v1::Outcome> outcome) {
                                    if (outcome) *code = outcome->code();
                                  });
    world.wake(through);
    run_for(within);
    return *code;
  }

  SeededRandom random;
  World world;
  Operator person;
  std::int64_t written = 0;
  const NodeId a = world.nodes()[0], b = world.nodes()[1], c = world.nodes()[2];
};

TEST_F(MembershipSimTest, ARegionThatIsCutOffIsFencedAndAdmittedAgainWhileTheOthersGoOn) {
  ASSERT_TRUE(may_sign(c));
  isolate(c);
  for (int s = 0; s < 3; ++s) EXPECT_EQ(write(a, epoch(a)), 0u) << "in the cut-off region's own group";
  EXPECT_EQ(state(a, c), store::v1::FENCED);
  EXPECT_EQ(state(b, c), store::v1::FENCED);
  EXPECT_EQ(epoch(c), 1u) << "it cannot know";
  EXPECT_FALSE(may_sign(c)) << "and knows that it cannot";
  EXPECT_TRUE(may_sign(a) && may_sign(b));
  world.heal();
  const auto refused = write(c, 1);
  EXPECT_EQ(refused, 1 + static_cast<std::uint32_t>(Code::kConflict)) << "what it signed under the old epoch is late";
  run_for(6s);
  for (const NodeId node : world.nodes()) EXPECT_EQ(state(node, c), store::v1::SERVING);
  EXPECT_TRUE(may_sign(c));
  EXPECT_EQ(write(c, epoch(c)), 0u);
}

TEST_F(MembershipSimTest, AnotherRegionSignsTheListsOfOneThatIsCutOffUntilItIsBack) {
  const auto refused = 1 + static_cast<std::uint32_t>(Code::kConflict);
  EXPECT_EQ(take_number(c, 1), 0u);
  EXPECT_EQ(put_list(c, 1, 1), 0u);
  isolate(c);
  run_for(8s);
  const store::Activation stand_in{region_of(a), 2};
  ASSERT_EQ(activation(a), stand_in);
  ASSERT_EQ(activation(b), stand_in);
  EXPECT_EQ(take_number(a, 2), 0u);
  EXPECT_EQ(take_number(b, 2), refused) << "one stands in";
  EXPECT_EQ(put_list(a, 2, 2), 0u);
  world.heal();
  EXPECT_NE(take_number(c, 1), 0u) << "it does not know yet";
  run_for(8s);
  for (const NodeId node : world.nodes()) EXPECT_EQ(activation(node), (store::Activation{region_of(c), 3}));
  EXPECT_EQ(take_number(a, 2), refused);
  EXPECT_EQ(put_list(a, 2, 9), refused) << "also a number that it has from before";
  EXPECT_EQ(take_number(c, 3), 0u);
  EXPECT_EQ(put_list(c, 3, 3), 0u);
}

TEST_F(MembershipSimTest, AShortSilenceFencesNobody) {
  for (int i = 0; i < 4; ++i) {
    isolate(c);
    run_for(3s);
    world.heal();
    run_for(2s);
  }
  EXPECT_EQ(epoch(a), 1u);
}

TEST_F(MembershipSimTest, ALinkBetweenTwoRegionsFencesNobody) {
  cut(a, c);
  run_for(20s);
  EXPECT_EQ(epoch(b), 1u);
  EXPECT_TRUE(may_sign(a) && may_sign(b) && may_sign(c));
}

TEST_F(MembershipSimTest, WithoutAMajorityNothingIsFencedAndNobodySigns) {
  isolate(a);
  isolate(b);
  run_for(20s);
  for (const NodeId node : world.nodes()) {
    EXPECT_EQ(epoch(node), 1u);
    EXPECT_FALSE(may_sign(node));
  }
  world.heal();
  run_for(10s);
  for (const NodeId node : world.nodes()) {
    EXPECT_EQ(epoch(node), 1u) << "what was silent was the network";
    EXPECT_TRUE(may_sign(node));
  }
}

TEST_F(MembershipSimTest, LeadersLeaveADrainedRegionAndComeHome) {
  const GroupId home = home_group(region_of(c));
  ASSERT_TRUE(world.engine(c)->group(home).leads());
  person.put(region_of(c), store::v1::DRAINING, std::nullopt);
  run_for(4s);
  EXPECT_FALSE(world.engine(c)->group(home).leads());
  EXPECT_TRUE(may_sign(c)) << "what comes is answered";
  EXPECT_EQ(write(c, epoch(c)), 0u);
  person.put(region_of(c), store::v1::SERVING, std::nullopt);
  run_for(8s);
  EXPECT_TRUE(world.engine(c)->group(home).leads());
}

TEST_F(MembershipSimTest, AnOperatorsFenceOutlivesEveryLeader) {
  person.put(region_of(c), store::v1::FENCED, std::nullopt);
  run_for(4s);
  EXPECT_FALSE(may_sign(c));
  for (const NodeId node : {a, b}) {
    world.end(node, World::End::kMachine);
    run_for(4s);
    world.start(node);
    run_for(6s);
  }
  EXPECT_EQ(state(a, c), store::v1::FENCED);
  EXPECT_FALSE(may_sign(c));
}

TEST_F(MembershipSimTest, WhoIsLeftOfALostMajorityGoesOnWhenAPersonSaysSo) {
  ASSERT_EQ(write(c, 1), 0u);
  world.end(a, World::End::kMachine);
  world.end(b, World::End::kMachine);
  run_for(10s);
  EXPECT_EQ(write(c, 1), std::nullopt);
  world.end(c, World::End::kProcess);
  ASSERT_TRUE(world.reform(c, {c}).has_value());
  EXPECT_EQ(world.reform(c, {c}).error().code, Code::kConflict) << "it is so already";
  world.start(c);
  run_for(6s);
  EXPECT_TRUE(may_sign(c));
  EXPECT_EQ(state(c, a), store::v1::FENCED);
  EXPECT_EQ(state(c, b), store::v1::FENCED);
  EXPECT_EQ(epoch(c), 2u);
  EXPECT_EQ(write(c, 2), 0u);
  world.start(a);
  world.start(b);
  run_for(6s);
  EXPECT_TRUE(world.engine(c)->group(kGlobalGroup).leads()) << "those that were left out are not heard";
  EXPECT_EQ(write(c, 2), 0u);
  EXPECT_EQ(epoch(c), 2u);
  world.end(c, World::End::kMachine);
  world.start(c);
  run_for(4s);
  EXPECT_EQ(write(c, 2), 0u) << "also after a restart";
  EXPECT_EQ(epoch(c), 2u) << "the reformation is written down once";
}

TEST_F(MembershipSimTest, NewNodesJoinWhatWasMadeAnewAndItIsAsItWas) {
  world.end(a, World::End::kMachine);
  world.end(b, World::End::kMachine);
  world.end(c, World::End::kProcess);
  ASSERT_TRUE(world.reform(c, {c}).has_value());
  world.start(c);
  run_for(6s);
  ASSERT_EQ(write(c, 2), 0u);
  EXPECT_EQ(world.join(a, c).error().code, Code::kConflict) << "with its old disk it is part of the old cluster";
  for (const NodeId node : {a, b}) {
    world.wipe(node);
    ASSERT_TRUE(world.join(node, c));
    world.start(node);
  }
  run_for(4s);
  store::v1::Command command;
  command.mutable_change_replicas()->set_expected_epoch(epoch(c));
  for (const NodeId node : {a, b, c}) command.mutable_change_replicas()->add_nodes()->set_node(node.value);
  ASSERT_EQ(submit(c, kGlobalGroup, command, 2s), 0u);
  run_for(20s);
  for (std::uint32_t g = 0; g <= 3; ++g) {
    EXPECT_EQ(world.engine(c)->group(GroupId{g}).configuration().voters(), (std::vector<NodeId>{a, b, c})) << g;
  }
  for (const NodeId node : {a, b}) {
    command.mutable_change_membership()->set_expected_epoch(epoch(c));
    command.mutable_change_membership()->set_region(region_of(node).value);
    command.mutable_change_membership()->set_state(RegionState::SERVING);
    ASSERT_EQ(submit(c, kGlobalGroup, command, 2s), 0u);
    run_for(8s);
    EXPECT_EQ(state(c, node), RegionState::SERVING);
    EXPECT_TRUE(may_sign(node));
  }
  EXPECT_EQ(write(a, epoch(a)), 0u);
  world.end(c, World::End::kMachine);
  run_for(10s);
  EXPECT_EQ(write(b, epoch(b)), 0u) << "it bears the loss of a region again";
}

}  // namespace
}  // namespace evercert::sim
