// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "traffic/dns/brain.h"
#include "traffic/dns/message_test.h"

namespace evercert::traffic::dns {
namespace {

using ::testing::ElementsAre;

class HandlerTest : public ::testing::Test {
 protected:
  HandlerTest()
      : zone_(*Zone::create(test_zone_options())),
        geography_(test_geography()),
        brain_(test_regions(), Policy::kWeightedLatency, {{1, 1}, 50, 10s, 30s, 30s}, Instant{0}) {
    make({});
  }

  void make(RateLimits limits) {
    handler_ =
        std::make_unique<Handler>(std::make_unique<Responder>(zone_, *geography_, nullptr, ResponderOptions{"", 2}),
                                  HandlerOptions{limits, 99, 1 << 10}, counters_);
    handler_->use(brain_.view(), WallTime{});
  }
  // Empty: no answer.
  std::string raw(const std::vector<std::uint8_t>& message, const char* from = "10.1.0.9") {
    std::array<std::uint8_t, Handler::kRoom> out;
    const std::size_t size = handler_->by_udp(message, *parse_address(from), now_, out);
    return {reinterpret_cast<const char*>(out.data()), size};
  }
  Told ask(const Ask& question, const char* from = "10.1.0.9") { return Told(raw(question.bytes(), from)); }
  std::uint64_t kept() const { return counters_.kept_answers.value(); }

  Instant now_{1'000'000};
  Zone zone_;
  std::unique_ptr<Geography> geography_;
  Brain brain_;
  HandlerCounters counters_;
  std::unique_ptr<Handler> handler_;
};

TEST_F(HandlerTest, AKeptAnswerIsTheOneThatWouldBeWorkedOut) {
  for (const char* name : {"api.test.", "us-east-1.api.test.", "eu-central-1.api.test.", "ns1.api.test."}) {
    for (const int type : {LDNS_RR_TYPE_A, LDNS_RR_TYPE_AAAA, LDNS_RR_TYPE_HTTPS, LDNS_RR_TYPE_SOA, LDNS_RR_TYPE_NS,
                           LDNS_RR_TYPE_TXT, LDNS_RR_TYPE_ANY}) {
      for (const char* from : {"10.1.0.9", "10.2.0.9", "10.3.0.9"}) {
        Ask question{name, type};
        const std::string first = raw(question.bytes(), from);
        const std::uint64_t before = kept();
        question.id = 0x4321;
        std::string second = raw(question.bytes(), from);
        EXPECT_EQ(kept(), before + 1) << name << " " << type;
        EXPECT_EQ(Told(second).id(), 0x4321);
        second.replace(0, 2, first, 0, 2);
        EXPECT_EQ(second, first);
      }
    }
  }
}

TEST_F(HandlerTest, ClientsOfOtherPlacesGetTheirOwnAnswers) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(ask({"api.test."}, "10.1.0.9").data()[0], "192.0.2.1");
    EXPECT_EQ(ask({"api.test."}, "10.2.0.9").data()[0], "192.0.2.2");
    EXPECT_EQ(ask({"api.test."}, "10.3.0.9").data()[0], "192.0.2.3");
  }
  EXPECT_EQ(kept(), 6u);
}

TEST_F(HandlerTest, ADifferentSpellingIsServedFromTheSameAnswerInItsOwnCase) {
  ask({"api.test."});
  const Told told = ask({"ApI.teSt."});
  EXPECT_EQ(kept(), 1u);
  EXPECT_THAT(told.question(), ::testing::HasSubstr("ApI.teSt."));
  EXPECT_THAT(told.answer()[0], ::testing::HasSubstr("ApI.teSt."));
}

TEST_F(HandlerTest, WhenARegionIsLostNoOldAnswerIsGiven) {
  EXPECT_EQ(ask({"api.test."}).data()[0], "192.0.2.1");
  brain_.checked(0, 0, {false, 1ms, "dead"}, now_);
  handler_->use(brain_.view(), WallTime{});
  EXPECT_THAT(ask({"api.test."}).data(), ElementsAre("192.0.2.2", "192.0.2.3"));
  EXPECT_EQ(kept(), 0u);
}

TEST_F(HandlerTest, NamesWithoutEndAreNotKept) {
  ask({"api.test."});
  for (int i = 0; i < 400; ++i) EXPECT_EQ(ask({"n" + std::to_string(i) + ".api.test."}).rcode(), LDNS_RCODE_NXDOMAIN);
  ask({"api.test."});
  EXPECT_EQ(kept(), 1u);
}

TEST_F(HandlerTest, AFloodOfOneNetworkIsLimitedAndOthersAreServed) {
  make({50, 20, 10, 1000, 2, 1024});
  int whole = 0, cut = 0, silent = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string answer = raw(Ask{"api.test."}.bytes());
    if (answer.empty()) {
      ++silent;
    } else if (Told(answer).tc()) {
      ++cut;
      EXPECT_LE(answer.size(), Ask{"api.test."}.bytes().size()) << "no longer than the question: nothing is amplified";
    } else {
      ++whole;
    }
  }
  EXPECT_EQ(whole, 50);
  EXPECT_EQ(cut, 475);
  EXPECT_EQ(silent, 475);
  EXPECT_EQ(counters_.limited_truncated.value(), 475u);
  EXPECT_EQ(counters_.limited_dropped.value(), 475u);
  EXPECT_FALSE(Told(raw(Ask{"api.test."}.bytes(), "10.2.0.9")).tc());
  now_ = now_ + 1s;
  EXPECT_FALSE(Told(raw(Ask{"api.test."}.bytes())).tc()) << "and the network again later";
}

TEST_F(HandlerTest, ErrorsAndTheWorkOfOneNetworkAreLimitedToo) {
  make({1e6, 1e6, 10, 300, 0, 1024});
  int answered = 0;
  for (int i = 0; i < 100; ++i) answered += raw(Ask{"example.org."}.bytes()).empty() ? 0 : 1;
  EXPECT_EQ(answered, 10);
  answered = 0;
  for (int i = 0; i < 1000; ++i) answered += raw(Ask{"n" + std::to_string(i) + ".api.test."}.bytes()).empty() ? 0 : 1;
  EXPECT_EQ(answered, 200) << "of 300 a second 100 went into the errors";
  EXPECT_FALSE(handler_->by_tcp(Ask{"api.test."}.bytes(), *parse_address("10.2.0.9"), now_).empty());
}

TEST_F(HandlerTest, MessagesThatAreNoneAreCountedAndNotAnswered) {
  EXPECT_TRUE(raw({1, 2, 3}).empty());
  EXPECT_EQ(counters_.unanswerable.value(), 1u);
  EXPECT_TRUE(handler_->by_tcp(std::vector<std::uint8_t>{1, 2, 3}, *parse_address("10.2.0.9"), now_).empty());
}

}  // namespace
}  // namespace evercert::traffic::dns
