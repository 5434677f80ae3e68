// SPDX-License-Identifier: Apache-2.0
#include "store/state_digest.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

constexpr GroupId kGroup{2};
const NodeId kA = node_id(RegionId{1}, 1), kB = node_id(RegionId{2}, 1), kC = node_id(RegionId{3}, 1);
const Configuration kVoters = configuration_of(Layout{{kA, kB, kC}, 3});
constexpr Duration kValid = 4s;

// The audit of one replica that applies entries 1.. with these digests.
struct Replica {
  StateAudit audit;
  Instant now{1'000'000};
  LogIndex newest{0};
  explicit Replica(NodeId self = kA, std::optional<StateCopy> copied = {}) : audit(self, kValid) {
    audit.begin(kGroup, {}, LogIndex{0}, copied);
  }
  void apply(std::uint64_t digest) {
    newest = LogIndex{newest.value + 1};
    audit.applied(kGroup, newest, digest, now);
  }
  void hear(NodeId from, const Replica& other) {
    for (const auto& claim : other.audit.claims(kGroup)) audit.told(from, kGroup, claim, now);
  }
};

TEST(StateDigest, IsOfTheChangesInTheirOrderAndOfTheirEntries) {
  const auto of = [](const std::vector<std::pair<std::uint64_t, std::string>>& all) {
    StateDigest digest;
    for (const auto& [index, changes] : all) digest.add(LogIndex{index}, changes);
    return digest.short_form();
  };
  EXPECT_EQ(of({{1, "a"}, {2, "b"}}), of({{1, "a"}, {2, "b"}}));
  EXPECT_NE(of({{1, "a"}, {2, "b"}}), of({{1, "b"}, {2, "a"}}));
  EXPECT_NE(of({{1, "a"}}), of({{2, "a"}}));
  EXPECT_NE(of({{1, ""}}), of({}));
}

TEST(StateDigest, IsReadAsItWasWritten) {
  StateDigest digest{LogIndex{7}, {}};
  EXPECT_EQ(StateDigest::decode(digest.encode())->short_form(), 0u);
  digest.add(LogIndex{8}, "x");
  const auto read = StateDigest::decode(digest.encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->since, LogIndex{7});
  EXPECT_EQ(read->chain, digest.chain);
  EXPECT_EQ(StateDigest::decode("short").error().code, Code::kCorrupt);
}

TEST(StateAudit, EqualStatesAreShownAndNobodyIsInTheMinority) {
  Replica a, b;
  for (std::uint64_t d = 1; d <= 70; ++d) a.apply(d), b.apply(d);
  EXPECT_FALSE(a.audit.shown(kGroup, kB, a.now)) << "it has said nothing yet";
  a.hear(kB, b);
  EXPECT_TRUE(a.audit.shown(kGroup, kB, a.now));
  EXPECT_FALSE(a.audit.minority(kGroup, kVoters));
  EXPECT_FALSE(a.audit.shown(kGroup, kB, a.now + kValid + 1ms)) << "long ago";
}

TEST(StateAudit, WhatIsSaidOfAnEntryThatIsNotAppliedHereYetIsJudgedWhenItIs) {
  Replica a, b;
  b.apply(1), b.apply(2);
  a.hear(kB, b);
  a.apply(1);
  EXPECT_FALSE(a.audit.shown(kGroup, kB, a.now));
  a.apply(2);
  EXPECT_TRUE(a.audit.shown(kGroup, kB, a.now));
}

TEST(StateAudit, WhoDiffersFromAMajorityOfTheVotersFindsItselfInTheMinority) {
  Replica a, b, c;
  a.apply(1), b.apply(1), c.apply(1);
  a.apply(99), b.apply(2), c.apply(2);
  a.hear(kB, b);
  EXPECT_FALSE(a.audit.minority(kGroup, kVoters)) << "one against one";
  EXPECT_EQ(a.audit.differs(kGroup, kB), LogIndex{2});
  EXPECT_FALSE(a.audit.shown(kGroup, kB, a.now));
  a.hear(kC, c);
  EXPECT_EQ(a.audit.minority(kGroup, kVoters), LogIndex{2});
  b.hear(kA, a), b.hear(kC, c);
  EXPECT_FALSE(b.audit.minority(kGroup, kVoters)) << "it is the other who is";
  EXPECT_EQ(b.audit.differs(kGroup, kA), LogIndex{2});
}

TEST(StateAudit, OthersWhoDifferFromEachOtherAreNoMajority) {
  Replica a, b, c;
  a.apply(1), b.apply(2), c.apply(3);
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_FALSE(a.audit.minority(kGroup, kVoters));
}

TEST(StateAudit, TheMajorityIsFoundThoughItsMembersSpeakOfDifferentEntries) {
  Replica a, b, c;
  for (std::uint64_t d = 1; d <= 90; ++d) {
    a.apply(d < 50 ? d : 1000 + d);
    if (d <= 80) b.apply(d);
    if (d <= 85) c.apply(d);
  }
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_EQ(a.audit.minority(kGroup, kVoters), LogIndex{64}) << "both spoke of the landmark";
}

TEST(StateAudit, InAJointConfigurationBothHalvesMustHaveAnother) {
  const NodeId d = node_id(RegionId{1}, 2), e = node_id(RegionId{2}, 2);
  Configuration joint = kVoters;
  joint.halves.push_back(Layout{{kA, d, e}, 3});
  Replica a, b, c, other;
  a.apply(9), b.apply(1), c.apply(1), other.apply(1);
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_FALSE(a.audit.minority(kGroup, joint));
  a.hear(d, other), a.hear(e, other);
  EXPECT_TRUE(a.audit.minority(kGroup, joint));
}

TEST(StateAudit, ALearnerIsMeasuredByTheVoters) {
  Replica learner, b, c;
  learner.apply(9), b.apply(1), c.apply(1);
  learner.hear(kB, b), learner.hear(kC, c);
  EXPECT_TRUE(learner.audit.minority(kGroup, kVoters));
}

TEST(StateAudit, ANodeWhoseStateWasReplacedIsBelievedAgain) {
  Replica a, b;
  a.apply(1), b.apply(2);
  a.hear(kB, b);
  ASSERT_TRUE(a.audit.differs(kGroup, kB));
  Replica rebuilt;
  a.apply(3), rebuilt.apply(1), rebuilt.apply(3);
  a.hear(kB, rebuilt);
  EXPECT_FALSE(a.audit.differs(kGroup, kB));
  EXPECT_TRUE(a.audit.shown(kGroup, kB, a.now));
}

TEST(StateAudit, ACopyIsNoVoiceBesideWhomItWasCopiedFrom) {
  // a is right. b errs and gives its state to c, who goes on from there.
  Replica a(kA), b(kB), c(kC, StateCopy{kB, LogIndex{0}});
  a.apply(1), b.apply(9), c.apply(9);
  b.hear(kC, c), c.hear(kB, b);
  EXPECT_EQ(c.audit.copied_from(kGroup), kB) << "whom it was copied from confirms nothing";
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_EQ(a.audit.differs(kGroup, kC), LogIndex{1});
  EXPECT_FALSE(a.audit.minority(kGroup, kVoters));
  b.hear(kA, a), c.hear(kA, a);
  EXPECT_FALSE(b.audit.minority(kGroup, kVoters));
  EXPECT_FALSE(c.audit.minority(kGroup, kVoters));
}

TEST(StateAudit, ACopyIsAVoterOfItsOwnOnceSomebodyElseHasShownTheSame) {
  Replica a(kA), b(kB), c(kC, StateCopy{kB, LogIndex{2}});
  for (std::uint64_t d = 1; d <= 3; ++d) a.apply(d), b.apply(d), c.apply(d);
  c.hear(kA, a);
  EXPECT_EQ(c.audit.copied_from(kGroup), NodeId{0});
  a.apply(99), b.apply(4), c.apply(4);
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_EQ(a.audit.minority(kGroup, kVoters), LogIndex{4});
}

TEST(StateAudit, ThoseThatCopiedFromMeJudgeWhatIDidSince) {
  Replica a(kA), b(kB, StateCopy{kA, LogIndex{1}}), c(kC, StateCopy{kA, LogIndex{1}});
  a.apply(1), b.apply(1), c.apply(1);
  a.apply(99), b.apply(2), c.apply(2);
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_EQ(a.audit.minority(kGroup, kVoters), LogIndex{2});
}

TEST(StateAudit, ACopyOfOneThatErredAfterItCopiedFromMeIsNoVoiceBesideIt) {
  Replica a(kA), b(kB, StateCopy{kA, LogIndex{1}}), c(kC, StateCopy{kB, LogIndex{2}});
  a.apply(1), b.apply(1), c.apply(1);
  a.apply(2), b.apply(99), c.apply(99);
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_FALSE(a.audit.minority(kGroup, kVoters));
}

TEST(StateAudit, WhatEveryVoterShowsIsConfirmedWhoeverComputedIt) {
  Replica a(kA, StateCopy{kB, LogIndex{1}}), b(kB), c(kC, StateCopy{kB, LogIndex{1}});
  a.apply(1), b.apply(1), c.apply(1);
  a.hear(kB, b);
  a.audit.confirm_if_unanimous(kGroup, kVoters);
  EXPECT_EQ(a.audit.copied_from(kGroup), kB) << "one has not spoken yet";
  a.hear(kC, c);
  a.audit.confirm_if_unanimous(kGroup, kVoters);
  EXPECT_EQ(a.audit.copied_from(kGroup), NodeId{0});
}

TEST(StateAudit, WhatWasEqualBeforeTheCopyWasMadeConfirmsNothing) {
  Replica a(kA), c(kC, StateCopy{kB, LogIndex{2}});
  a.apply(1);
  c.apply(1), c.apply(2), c.apply(3);
  c.hear(kA, a);
  EXPECT_EQ(c.audit.copied_from(kGroup), kB);
}

TEST(StateAudit, ReplicasThatCopiedFromEachOtherInTurnAreOneVoice) {
  Replica a(kA), b(kB, StateCopy{kC, LogIndex{0}}), c(kC, StateCopy{kB, LogIndex{0}});
  a.apply(1), b.apply(9), c.apply(9);
  a.hear(kB, b), a.hear(kC, c);
  EXPECT_FALSE(a.audit.minority(kGroup, kVoters));
  b.hear(kC, c);
  EXPECT_EQ(b.audit.copied_from(kGroup), kC);
}

TEST(StateCopy, IsReadAsItWasWritten) {
  const auto read = StateCopy::decode(StateCopy{kB, LogIndex{7}}.encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->from, kB);
  EXPECT_EQ(read->index, LogIndex{7});
  EXPECT_EQ(StateCopy::decode("short").error().code, Code::kCorrupt);
}

TEST(StateAudit, OfStatesThatBeganToBeCountedElsewhereNothingCanBeSaid) {
  Replica a, b;
  b.audit.begin(kGroup, {LogIndex{5}, {}}, LogIndex{0});
  a.apply(1), b.apply(2);
  a.hear(kB, b);
  EXPECT_FALSE(a.audit.differs(kGroup, kB));
  EXPECT_FALSE(a.audit.shown(kGroup, kB, a.now));
}

TEST(StateAudit, OfAGroupThatThisReplicaKeepsNoStateOfEverybodyIsTakenAtHisWord) {
  const StateAudit audit(kA, kValid);
  EXPECT_TRUE(audit.shown(GroupId{9}, kB, Instant{1}));
  EXPECT_TRUE(audit.claims(GroupId{9}).empty());
}

}  // namespace
}  // namespace evercert::store
