// SPDX-License-Identifier: Apache-2.0
#include "net/peer_door.h"

#include <gtest/gtest.h>

namespace evercert::net {
namespace {

constexpr NodeId kNode{257}, kOther{513};
constexpr std::uint64_t kFirst = 1'700'000'000'000, kSecond = 1'700'000'100'000;

Instant at(Duration time) { return Instant{1'000'000'000} + time; }

class PeerDoorTest : public testing::Test {
 protected:
  std::optional<PeerRefusal> knocks(std::uint64_t start_id, Instant now, NodeId node = kNode,
                                    const std::string& cluster = "ab12") {
    return door.knocks({node, cluster, start_id, start_id == kFirst ? "10.0.0.1" : "10.0.0.2"}, now);
  }
  PeerDoor door{"ab12", 2s};
};

TEST_F(PeerDoorTest, AMemberIsLetInAndMayOpenAnotherStream) {
  EXPECT_FALSE(knocks(kFirst, at(0s)));
  EXPECT_FALSE(knocks(kFirst, at(0s)));
  EXPECT_TRUE(door.heard(kNode, kFirst, at(1s)));
}

TEST_F(PeerDoorTest, AnotherClustersNodeIsRefusedAndBothIdsAreNamed) {
  const auto refusal = knocks(kFirst, at(0s), kNode, "cd34");
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->kind, PeerRefusal::Kind::kForeign);
  EXPECT_TRUE(refusal->tell);
  for (const auto word : {"node 257", "10.0.0.1", "cluster cd34", "cluster ab12", "cluster's file"})
    EXPECT_NE(refusal->message.find(word), std::string::npos) << refusal->message;
  EXPECT_FALSE(knocks(kFirst, at(1s), kNode, "cd34")->tell) << "once a minute is enough";
  EXPECT_TRUE(knocks(kFirst, at(61s), kNode, "cd34")->tell);
}

TEST_F(PeerDoorTest, ANodeThatWasLeftOutOfAReformationIsToldSo) {
  PeerDoor reformed("ab12/513", 2s);
  const auto refusal = reformed.knocks({kNode, "ab12", kFirst, "10.0.0.1"}, at(0s));
  ASSERT_TRUE(refusal);
  EXPECT_NE(refusal->message.find("evercert recover"), std::string::npos) << refusal->message;
}

TEST_F(PeerDoorTest, ASecondProcessOfANodeThatIsHeardIsRefusedHoweverLongItTries) {
  ASSERT_FALSE(knocks(kFirst, at(0s)));
  for (Duration time = 100ms; time < 60s; time += 500ms) {
    ASSERT_TRUE(door.heard(kNode, kFirst, at(time)));
    const auto refusal = knocks(kSecond, at(time));
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->kind, PeerRefusal::Kind::kDuplicate);
    EXPECT_EQ(refusal->running_since, kFirst);
    for (const auto word : {"node 257", "10.0.0.1", "10.0.0.2", "2023-11-14T22:13:20Z", "same identity", "End one"})
      EXPECT_NE(refusal->message.find(word), std::string::npos) << refusal->message;
  }
  EXPECT_FALSE(door.heard(kNode, kSecond, at(60s))) << "and nothing of it is heard";
}

TEST_F(PeerDoorTest, ARestartIsLetInAsSoonAsTheLifeBeforeHasLeft) {
  for (std::uint64_t life = 0; life < 20; ++life) {
    ASSERT_FALSE(knocks(kFirst + life, at(life * 10ms)));
    door.leaves(kNode, kFirst + life);
  }
}

TEST_F(PeerDoorTest, ARestartThatComesBeforeItsLastStreamHasEndedIsNotCried) {
  ASSERT_FALSE(knocks(kFirst, at(0s)));
  const auto refusal = knocks(kSecond, at(10ms));
  ASSERT_TRUE(refusal);
  EXPECT_FALSE(refusal->tell);
  door.leaves(kNode, kFirst);
  EXPECT_FALSE(knocks(kSecond, at(60ms)));
}

TEST_F(PeerDoorTest, AfterALossOfPowerTheNextLifeIsLetInWhenTheLastWasSilentLongEnough) {
  ASSERT_FALSE(knocks(kFirst, at(0s)));
  EXPECT_TRUE(knocks(kSecond, at(1900ms)));
  EXPECT_FALSE(knocks(kSecond, at(2100ms)));
  EXPECT_FALSE(door.heard(kNode, kFirst, at(3s))) << "the silent one has lost its place";
  EXPECT_TRUE(knocks(kFirst, at(3s)));
  door.leaves(kNode, kFirst);
  EXPECT_TRUE(knocks(kFirst, at(3s))) << "its stream was none of the one that is in";
}

TEST_F(PeerDoorTest, NodesDoNotStandInEachOthersWay) {
  ASSERT_FALSE(knocks(kFirst, at(0s)));
  EXPECT_FALSE(knocks(kSecond, at(0s), kOther));
}

TEST(DuplicateWatch, TheLaterProcessStopsAfterRefusalsForItsPatience) {
  DuplicateWatch watch(kSecond, 5s);
  EXPECT_FALSE(watch.refused(kOther, kFirst, at(0s)));
  EXPECT_FALSE(watch.refused(kOther, kFirst, at(4900ms)));
  EXPECT_TRUE(watch.refused(kOther, kFirst, at(5s)));
}

TEST(DuplicateWatch, TheEarlierProcessNeverStops) {
  DuplicateWatch watch(kFirst, 5s);
  EXPECT_FALSE(watch.refused(kOther, kSecond, at(0s)));
  EXPECT_FALSE(watch.refused(kOther, kSecond, at(60s)));
}

TEST(DuplicateWatch, WhoIsLetInMeanwhileWasNoDuplicate) {
  DuplicateWatch watch(kSecond, 5s);
  EXPECT_FALSE(watch.refused(kOther, kFirst, at(0s)));
  watch.let_in(kOther);
  EXPECT_FALSE(watch.refused(kOther, kFirst, at(6s)));
  EXPECT_TRUE(watch.refused(kOther, kFirst, at(11s)));
}

TEST(ExplainHandshake, ARootThatIsNotOursIsTold) {
  for (const auto words : {"SSL_ERROR_SSL: error:0A000086:SSL routines::certificate verify failed",
                           "SSL_ERROR_SSL: error:0A000418:SSL routines::tlsv1 alert unknown ca"})
    EXPECT_NE(explain_handshake(words).find("public/root.pem"), std::string::npos) << words;
  EXPECT_NE(explain_handshake("error:0A0000C7:SSL routines::peer did not return a certificate").find("no certificate"),
            std::string::npos);
  EXPECT_EQ(explain_handshake("Connection refused"), "");
}

TEST(RefusedHandshakes, AnAddressIsNamedOnceAMinuteWithWhatToCompare) {
  const auto failed = [](const std::string& address) {
    return "Handshaking failed: UNKNOWN:Handshake read failed {file_line:487, children:[INTERNAL:Socket closed "
           "{target_address:\"" +
           address + "\", grpc_status:14, fd:28}]}";
  };
  RefusedHandshakes refused;
  const auto told = refused.tell(failed("ipv4:127.1.0.98:37245"), at(0s));
  ASSERT_TRUE(told);
  EXPECT_NE(told->find("ipv4:127.1.0.98 was refused"), std::string::npos) << *told;
  EXPECT_NE(told->find("public/root.pem"), std::string::npos) << *told;
  EXPECT_FALSE(refused.tell(failed("ipv4:127.1.0.98:40000"), at(59s)));
  EXPECT_TRUE(refused.tell(failed("ipv4:127.1.0.99:37245"), at(59s)));
  EXPECT_TRUE(refused.tell(failed("ipv4:127.1.0.98:40000"), at(61s)));
  EXPECT_FALSE(refused.tell("Handshaking failed: the server is shutting down", at(200s)));
}

}  // namespace
}  // namespace evercert::net
