// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/zone.h"

#include <gtest/gtest.h>

#include "traffic/dns/message_test.h"

namespace evercert::traffic::dns {
namespace {

std::string refusal(const std::string& records) {
  const auto zone = Zone::create(test_zone_options(), "r.zone", records);
  return zone ? std::string() : zone.error().message;
}

const Zone::Node* find(const Zone& zone, const char* name) {
  const NamePtr owner(ldns_dname_new_frm_str(name));
  return zone.find(owner.get());
}

TEST(Zone, TheZoneIsWhatTheEndpointsHaveInCommon) {
  EXPECT_EQ(*common_zone(
                {"us-east-1.api.certmanager.com", "us-west-2.api.certmanager.com", "eu-central-1.api.certmanager.com"}),
            "api.certmanager.com.");
  EXPECT_EQ(*common_zone({"A.b.example.com.", "c.example.com"}), "example.com.");
  EXPECT_EQ(*common_zone({"a.example.com"}), "example.com.");
  EXPECT_FALSE(common_zone({"a.example.com", "a.example.org"}));
  EXPECT_FALSE(common_zone({"a.example.com", "b..com"}));
  EXPECT_FALSE(common_zone({}));
}

TEST(Zone, NamesAreFoundWithoutRegardToCaseAndNamesBetweenExist) {
  ZoneOptions options = test_zone_options();
  options.endpoints[0] = "one.deep.api.test.";
  const auto zone = Zone::create(options);
  ASSERT_TRUE(zone) << zone.error().message;
  EXPECT_TRUE(find(*zone, "API.test.")->apex);
  EXPECT_EQ(find(*zone, "One.Deep.Api.Test.")->region, 0u);
  ASSERT_NE(find(*zone, "deep.api.test."), nullptr);
  EXPECT_TRUE(find(*zone, "deep.api.test.")->records.empty());
  EXPECT_EQ(find(*zone, "shallow.api.test."), nullptr);
}

TEST(Zone, AFileAddsRecordsRelativeToTheZone) {
  const auto zone = Zone::create(test_zone_options(), "r.zone",
                                 "$TTL 60\n@ TXT \"owner=ops\"\n_acme-challenge 30 IN TXT \"x\"\n\n; comment\n"
                                 "mail.api.test. A 192.0.2.25\n");
  ASSERT_TRUE(zone) << zone.error().message;
  EXPECT_TRUE(find(*zone, "api.test.")->records.contains(LDNS_RR_TYPE_TXT));
  EXPECT_TRUE(find(*zone, "_acme-challenge.api.test.")->records.contains(LDNS_RR_TYPE_TXT));
  EXPECT_TRUE(find(*zone, "mail.api.test.")->records.contains(LDNS_RR_TYPE_A));
}

TEST(Zone, WhatTheFileMayNotSayIsRefusedByItsLine) {
  EXPECT_EQ(refusal("@ TXT \"fine\"\n"), "");
  EXPECT_NE(refusal("@ TXT \"fine\"\nx.other. A 192.0.2.1\n").find("r.zone:2: x.other. is not in the zone"),
            std::string::npos)
      << refusal("@ TXT \"fine\"\nx.other. A 192.0.2.1\n");
  EXPECT_NE(refusal("@ A 192.0.2.1\n").find("r.zone:1: "), std::string::npos);
  EXPECT_NE(refusal("us-east-1 AAAA 2001:db8::9\n").find("regions' edges"), std::string::npos);
  EXPECT_NE(refusal("www CNAME api.test.\n").find("CNAME"), std::string::npos);
  EXPECT_NE(refusal("*.x A 192.0.2.1\n").find("wildcards"), std::string::npos);
  EXPECT_NE(refusal("x A not-an-address\n").find("r.zone:1: no DNS record"), std::string::npos);
}

TEST(Zone, OptionsThatDoNotFitAreRefused) {
  const auto with = [](auto change) {
    ZoneOptions options = test_zone_options();
    change(options);
    const auto zone = Zone::create(options);
    return zone ? std::string() : zone.error().message;
  };
  EXPECT_NE(with([](auto& o) { o.endpoints[1] = "us-west-2.other.test."; }).find("--zone"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.endpoints[1] = o.endpoints[0]; }).find("two regions"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.endpoints[1] = o.name; }).find("not below"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.name_servers.clear(); }).find("--name-server"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.name_servers[0].addresses.clear(); }).find("has no address"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.name_servers[0].name = o.endpoints[0]; }).find("one of its own"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.caa = {"nonsense"}; }).find("no DNS record"), std::string::npos);
}

TEST(Zone, TheSerialGrowsWithTheGeneration) {
  const auto zone = Zone::create(test_zone_options());
  ASSERT_TRUE(zone);
  const auto serial = [&](std::uint64_t generation) {
    return ldns_rdf2native_int32(ldns_rr_rdf(zone->soa(generation).get(), 2));
  };
  EXPECT_EQ(serial(0), 1000u);
  EXPECT_EQ(serial(7), 1007u);
}

}  // namespace
}  // namespace evercert::traffic::dns
