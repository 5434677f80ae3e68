// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/responder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "traffic/dns/brain.h"
#include "traffic/dns/message_test.h"

namespace evercert::traffic::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ResponderTest : public ::testing::Test {
 protected:
  ResponderTest()
      : zone_(*Zone::create(test_zone_options(), "r",
                            "@ TXT \"owner=ops\"\nbig TXT \"" + std::string(200, 'x') + "\" \"" +
                                std::string(200, 'y') + "\" \"" + std::string(200, 'z') +
                                "\"\nx.between TXT \"deep\"\n")),
        geography_(test_geography()),
        brain_(test_regions(), Policy::kWeightedLatency, {{1, 1}, 50, 10s, 30s, 30s}, Instant{0}),
        responder_(zone_, *geography_, nullptr, {"dns-1", 2}) {
    responder_.use(brain_.view(), WallTime{1'700'000'000'000});
  }

  void lose(std::size_t region) {
    brain_.checked(region, 0, {false, 1ms, "dead"}, now_ = now_ + 1s);
    responder_.use(brain_.view(), WallTime{1'700'000'000'000});
  }
  std::optional<Response> raw(const std::vector<std::uint8_t>& message, const char* from = "10.1.0.9",
                              bool tcp = false) {
    return responder_.respond(message, *parse_address(from), tcp);
  }
  Told ask(const Ask& question, const char* from = "10.1.0.9", bool tcp = false) {
    const auto response = raw(question.bytes(), from, tcp);
    EXPECT_TRUE(response);
    return Told(response->bytes);
  }
  static Ask with_subnet(const char* name, std::string subnet) {
    Ask question{name};
    question.edns = true;
    question.options = {{LDNS_EDNS_CLIENT_SUBNET, std::move(subnet)}};
    return question;
  }

  Instant now_{1'000'000};
  Zone zone_;
  std::unique_ptr<Geography> geography_;
  Brain brain_;
  Responder responder_;
};

TEST_F(ResponderTest, TheZonesNameLeadsToTheNearestRegionAndTheNextBehindIt) {
  const Told east = ask({"api.test."});
  EXPECT_EQ(east.rcode(), 0);
  EXPECT_TRUE(east.aa());
  EXPECT_EQ(east.id(), 0x1234);
  EXPECT_THAT(east.answer(), ElementsAre("api.test. 5 IN A 192.0.2.1", "api.test. 5 IN A 192.0.2.2"));
  EXPECT_THAT(ask({"api.test."}, "10.3.0.1").data(), ElementsAre("192.0.2.3", "192.0.2.1"));
  EXPECT_THAT(ask({"api.test.", LDNS_RR_TYPE_AAAA}).data(), ElementsAre("2001:db8::1"));
}

TEST_F(ResponderTest, ALostRegionIsNotAnsweredAndItsOwnNameLeadsToTheNextBest) {
  EXPECT_THAT(ask({"us-east-1.api.test."}, "10.3.0.1").data(), ElementsAre("192.0.2.1"));
  lose(0);
  EXPECT_THAT(ask({"api.test."}).data(), ElementsAre("192.0.2.2", "192.0.2.3"));
  EXPECT_THAT(ask({"us-east-1.api.test."}).data(), ElementsAre("192.0.2.2", "192.0.2.3"));
  EXPECT_THAT(ask({"us-east-1.api.test."}, "10.3.0.1").data(), ElementsAre("192.0.2.3", "192.0.2.2"));
}

TEST_F(ResponderTest, HttpsRecordsSayTheOrderOfTheRegionsAndTheirPorts) {
  const Told told = ask({"api.test.", LDNS_RR_TYPE_HTTPS}, "10.3.0.1");
  ASSERT_EQ(told.answer().size(), 2u);
  EXPECT_THAT(told.answer()[0], HasSubstr("HTTPS 1 eu-central-1.api.test. "));
  EXPECT_THAT(told.answer()[0], HasSubstr("port=8443"));
  EXPECT_THAT(told.answer()[0], HasSubstr("ipv4hint=192.0.2.3"));
  EXPECT_THAT(told.answer()[1], HasSubstr("HTTPS 2 us-east-1.api.test. "));
  EXPECT_THAT(told.answer()[1], HasSubstr("ipv6hint=2001:db8::1"));
  EXPECT_THAT(ask({"us-west-2.api.test.", LDNS_RR_TYPE_HTTPS}).answer().at(0), HasSubstr("HTTPS 1 . "));
}

TEST_F(ResponderTest, WhatStandsFastIsAnswered) {
  const Told soa = ask({"api.test.", LDNS_RR_TYPE_SOA});
  EXPECT_THAT(soa.answer(),
              ElementsAre("api.test. 3600 IN SOA ns1.api.test. hostmaster.api.test. 1000 3600 600 604800 30"));
  const Told ns = ask({"api.test.", LDNS_RR_TYPE_NS});
  EXPECT_THAT(ns.data(), ElementsAre("ns1.api.test.", "ns.elsewhere.test."));
  EXPECT_THAT(ns.additional(),
              ElementsAre("ns1.api.test. 3600 IN A 192.0.2.53", "ns1.api.test. 3600 IN AAAA 2001:db8::53"));
  EXPECT_THAT(ask({"ns1.api.test."}).data(), ElementsAre("192.0.2.53"));
  EXPECT_THAT(ask({"api.test.", LDNS_RR_TYPE_CAA}).answer(), ElementsAre("api.test. 3600 IN CAA 0 issue \"ca.test\""));
  EXPECT_THAT(ask({"api.test.", LDNS_RR_TYPE_TXT}).answer(), ElementsAre("api.test. 3600 IN TXT \"owner=ops\""));
  lose(1);
  EXPECT_THAT(ask({"api.test.", LDNS_RR_TYPE_SOA}).answer()[0], HasSubstr(" 1001 "))
      << "the serial follows the answers";
}

TEST_F(ResponderTest, NegativeAnswersCarryTheSoaWithTheNegativeTtl) {
  const Told missing = ask({"no.api.test."});
  EXPECT_EQ(missing.rcode(), LDNS_RCODE_NXDOMAIN);
  EXPECT_TRUE(missing.aa());
  EXPECT_THAT(missing.authority(), ElementsAre(HasSubstr("api.test. 30 IN SOA")));
  const Told other = ask({"api.test.", LDNS_RR_TYPE_MX});
  EXPECT_EQ(other.rcode(), 0);
  EXPECT_TRUE(other.answer().empty());
  EXPECT_THAT(other.authority(), ElementsAre(HasSubstr("SOA")));
  EXPECT_EQ(ask({"us-west-2.api.test.", LDNS_RR_TYPE_AAAA}).rcode(), 0) << "the name is there, without IPv6";
  EXPECT_EQ(ask({"between.api.test."}).rcode(), 0) << "there is a name below it (RFC 8020)";
}

TEST_F(ResponderTest, WhatIsNotOursOrNotOfferedIsRefused) {
  EXPECT_EQ(ask({"example.org."}).rcode(), LDNS_RCODE_REFUSED);
  EXPECT_EQ(ask({"test."}).rcode(), LDNS_RCODE_REFUSED);
  EXPECT_EQ(ask({"xapi.test."}).rcode(), LDNS_RCODE_REFUSED);
  EXPECT_EQ(ask({"."}).rcode(), LDNS_RCODE_REFUSED);
  EXPECT_EQ(ask({"api.test.", LDNS_RR_TYPE_AXFR}).rcode(), LDNS_RCODE_REFUSED);
  EXPECT_EQ(ask({"api.test.", LDNS_RR_TYPE_TSIG}).rcode(), LDNS_RCODE_NOTIMPL);
  Ask chaos{"version.bind.", LDNS_RR_TYPE_TXT};
  chaos.kind = LDNS_RR_CLASS_CH;
  EXPECT_EQ(ask(chaos).rcode(), LDNS_RCODE_REFUSED);
  auto update = Ask{"api.test."}.bytes();
  update[2] = 5 << 3;
  const auto refused = raw(update);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->rcode, LDNS_RCODE_NOTIMPL);
  EXPECT_EQ(refused->bytes.size(), 12u);
}

TEST_F(ResponderTest, AnyIsAnsweredWithAsLittleAsIsAllowed) {
  EXPECT_THAT(ask({"api.test.", LDNS_RR_TYPE_ANY}).answer(), ElementsAre("api.test. 3600 IN HINFO \"RFC8482\" \"\""));
}

TEST_F(ResponderTest, TheNamesCaseComesBackAsItWas) {
  const Told told = ask({"aPi.TEST."});
  EXPECT_THAT(told.question(), HasSubstr("aPi.TEST."));
  EXPECT_THAT(told.answer()[0], HasSubstr("aPi.TEST."));
}

TEST_F(ResponderTest, TheClientSubnetCountsAndTheScopeIsTrue) {
  const Told told = ask(with_subnet("api.test.", std::string("\0\1\x18\0\x0a\3\4", 7)), "10.1.0.9");
  EXPECT_THAT(told.data(), ElementsAre("192.0.2.3", "192.0.2.1")) << "the client, not the resolver";
  EXPECT_EQ(told.option(LDNS_EDNS_CLIENT_SUBNET), std::string("\0\1\x18\x10\x0a\3\4", 7)) << "all of 10.3/16";
  const Told own = ask(with_subnet("us-west-2.api.test.", std::string("\0\1\x18\0\x0a\3\4", 7)));
  EXPECT_EQ(own.option(LDNS_EDNS_CLIENT_SUBNET), std::string("\0\1\x18\0\x0a\3\4", 7)) << "the same for everybody";
  const Told opted_out = ask(with_subnet("api.test.", std::string("\0\1\0\0", 4)), "10.2.0.9");
  EXPECT_EQ(opted_out.data()[0], "192.0.2.2") << "by where the question came from";
  EXPECT_EQ(opted_out.option(LDNS_EDNS_CLIENT_SUBNET), std::string("\0\1\0\0", 4));
  EXPECT_FALSE(ask({"api.test."}).option(LDNS_EDNS_CLIENT_SUBNET));
}

TEST_F(ResponderTest, MalformedOptionsAndVersionsOfTheFutureAreAnsweredAsTheRfcsSay) {
  EXPECT_EQ(ask(with_subnet("api.test.", std::string("\0\1\x18\x18\x0a\3\4", 7))).rcode(), LDNS_RCODE_FORMERR);
  Ask future{"api.test."};
  future.edns = true;
  future.version = 1;
  const Told told = ask(future);
  EXPECT_EQ(told.rcode(), kBadVersion);
  EXPECT_TRUE(told.answer().empty());
  EXPECT_TRUE(told.edns());
}

TEST_F(ResponderTest, EdnsIsAnsweredWithEdnsAndTheServersNameToThoseWhoAsk) {
  EXPECT_FALSE(ask({"api.test."}).edns());
  Ask question{"api.test."};
  question.edns = true;
  const Told plain = ask(question);
  EXPECT_TRUE(plain.edns());
  EXPECT_EQ(ldns_pkt_edns_udp_size(plain.packet.get()), kUdpPayload);
  EXPECT_FALSE(plain.option(LDNS_EDNS_NSID));
  question.options = {{LDNS_EDNS_NSID, ""}};
  EXPECT_EQ(ask(question).option(LDNS_EDNS_NSID), "dns-1");
}

TEST_F(ResponderTest, WhatHasNoRoomIsCutAndWholeByTcp) {
  Ask question{"big.api.test.", LDNS_RR_TYPE_TXT};
  const Told cut = ask(question);
  EXPECT_TRUE(cut.tc());
  EXPECT_TRUE(cut.answer().empty());
  EXPECT_LE(cut.size, 512u);
  const Told whole = ask(question, "10.1.0.9", true);
  EXPECT_FALSE(whole.tc());
  EXPECT_EQ(whole.answer().size(), 1u);
  question.edns = true;
  EXPECT_FALSE(ask(question).tc());
  question.payload = 100;
  EXPECT_TRUE(ask(question).tc()) << "less than 512 counts as 512 (RFC 6891 section 6.2.3)";
}

TEST_F(ResponderTest, WhatIsNoQueryIsNotAnsweredAndWhatIsNoneOfOursIsFormerr) {
  EXPECT_FALSE(raw({}));
  EXPECT_FALSE(raw({1, 2, 3}));
  auto answer = Ask{"api.test."}.bytes();
  answer[2] |= 0x80;
  EXPECT_FALSE(raw(answer)) << "two servers would talk for ever";
  const auto formerr = [&](std::vector<std::uint8_t> message) {
    const auto response = raw(message);
    return response && response->rcode == LDNS_RCODE_FORMERR && !response->keep && response->bytes.size() >= 12 &&
           response->bytes[0] == static_cast<char>(message[0]);
  };
  const auto fine = Ask{"api.test."}.bytes();
  for (std::size_t size = 12; size < fine.size(); ++size)
    EXPECT_TRUE(formerr({fine.begin(), fine.begin() + static_cast<std::ptrdiff_t>(size)})) << size;
  for (const std::size_t count : {4u, 6u, 8u, 10u}) {
    auto more = fine;
    more[count + 1] = 2;
    EXPECT_TRUE(formerr(more)) << count;
  }
  auto pointer = fine;
  pointer[12] = 0xc0;
  pointer[13] = 12;
  EXPECT_TRUE(formerr(pointer)) << "a name that points to itself";
  auto long_label = fine;
  long_label[12] = 64;
  EXPECT_TRUE(formerr(long_label));
  Ask edns{"api.test."};
  edns.edns = true;
  edns.options = {{LDNS_EDNS_NSID, "abcd"}};
  auto short_option = edns.bytes();
  short_option[short_option.size() - 5] = 9;  // longer than what is there
  EXPECT_TRUE(formerr(short_option));
}

TEST_F(ResponderTest, WhatIsKeptForOthersIsWhatTheyWouldBeTold) {
  EXPECT_TRUE(raw(Ask{"api.test."}.bytes())->by_source);
  EXPECT_FALSE(raw(Ask{"api.test.", LDNS_RR_TYPE_SOA}.bytes())->by_source);
  EXPECT_FALSE(raw(Ask{"us-west-2.api.test."}.bytes())->by_source);
  lose(1);
  EXPECT_TRUE(raw(Ask{"us-west-2.api.test."}.bytes())->by_source);
  EXPECT_FALSE(raw(with_subnet("api.test.", std::string("\0\1\x18\0\x0a\3\4", 7)).bytes())->by_source);
  EXPECT_FALSE(raw(Ask{"random.api.test."}.bytes())->keep) << "names without end must not drive out the others";
}

}  // namespace
}  // namespace evercert::traffic::dns
