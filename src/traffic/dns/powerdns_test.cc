// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/powerdns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "traffic/dns/brain.h"
#include "traffic/dns/message_test.h"

namespace evercert::traffic::dns {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

class PowerDnsTest : public ::testing::Test {
 protected:
  PowerDnsTest()
      : zone_(*Zone::create(test_zone_options(), "r", "txt TXT \"owner=ops\"\n")),
        geography_(test_geography()),
        brain_(test_regions(), Policy::kWeightedLatency, {{1, 1}, 50, 10s, 30s, 30s}, Instant{0}),
        powerdns_(zone_, Responder(zone_, *geography_, nullptr, {"", 2})) {
    powerdns_.use(brain_.view(), WallTime{1'700'000'000'000});
  }

  net::HttpResponse get(const std::string& path, const char* client = nullptr, const char* resolver = "10.1.0.9") {
    net::HttpRequest request;
    request.method = "GET";
    request.path = path;
    request.headers.set("X-RemoteBackend-remote", resolver);
    if (client != nullptr) request.headers.set("X-RemoteBackend-real-remote", client);
    return powerdns_.answer(request);
  }
  json result(const std::string& path, const char* client = nullptr) {
    const auto response = get(path, client);
    EXPECT_EQ(response.status, 200) << response.body;
    return json::parse(response.body).at("result");
  }
  std::vector<std::string> contents(const std::string& path, const char* client = nullptr) {
    std::vector<std::string> all;
    for (const json& record : result(path, client)) all.push_back(record.at("content"));
    return all;
  }

  Zone zone_;
  std::unique_ptr<Geography> geography_;
  Brain brain_;
  PowerDns powerdns_;
};

TEST_F(PowerDnsTest, TheZonesNameLeadsToTheRegionsThatAreNearTheClientBehindTheResolver) {
  EXPECT_THAT(contents("/dns/lookup/api.test./A"), ElementsAre("192.0.2.1", "192.0.2.2"));
  EXPECT_THAT(contents("/dns/lookup/api.test./A", "10.3.7.0/24"), ElementsAre("192.0.2.3", "192.0.2.1"));
  EXPECT_THAT(contents("/dns/lookup/api.test./A", "10.2.0.1%eth0/32"), ElementsAre("192.0.2.2", "192.0.2.1"));
}

TEST_F(PowerDnsTest, TheMaskSaysHowWideTheAnswerIsTrue) {
  const json records = result("/dns/lookup/api.test./A", "10.3.7.0/24");
  EXPECT_EQ(records.at(0).at("scopeMask"), 16) << "as wide as the table's entry";
  EXPECT_EQ(records.at(0).at("ttl"), 5);
  EXPECT_FALSE(result("/dns/lookup/txt.api.test./TXT").at(0).contains("scopeMask")) << "the same for everybody";
}

TEST_F(PowerDnsTest, ARegionThatIsOutIsNotNamed) {
  brain_.checked(0, 0, {false, 1ms, "dead"}, Instant{1'000'000});
  powerdns_.use(brain_.view(), WallTime{1'700'000'000'000});
  EXPECT_THAT(contents("/dns/lookup/api.test./A"), ElementsAre("192.0.2.2", "192.0.2.3"));
  EXPECT_THAT(contents("/dns/lookup/us-east-1.api.test./A"), ElementsAre("192.0.2.2", "192.0.2.3"))
      << "who has pinned it is served too";
}

TEST_F(PowerDnsTest, AnyIsWhatTheNameHas) {
  std::vector<std::string> types;
  for (const json& record : result("/dns/lookup/api.test./ANY")) types.push_back(record.at("qtype"));
  EXPECT_THAT(types, IsSupersetOf({"A", "AAAA", "CAA", "HTTPS", "NS", "NS", "SOA"}));
  EXPECT_THAT(contents("/dns/lookup/api.test./SOA"),
              ElementsAre(AllOf(HasSubstr("hostmaster.api.test."), HasSubstr("ns1"))));
  EXPECT_THAT(contents("/dns/lookup/txt.api.test./ANY"), ElementsAre("\"owner=ops\""));
}

TEST_F(PowerDnsTest, WhatIsNotThereIsNoErrorAndAnotherZoneIsNotOurs) {
  EXPECT_THAT(result("/dns/lookup/nobody.api.test./A"), IsEmpty());
  EXPECT_THAT(result("/dns/lookup/txt.api.test./A"), IsEmpty());
  EXPECT_EQ(result("/dns/lookup/elsewhere.test./A"), false);
  EXPECT_EQ(result("/dns/getDomainInfo/elsewhere.test."), false);
}

TEST_F(PowerDnsTest, TheZoneIsNamedWithASerialThatGrowsWithEachChange) {
  const std::uint64_t before = result("/dns/getDomainInfo/API.test.").at("serial");
  brain_.checked(0, 0, {false, 1ms, "dead"}, Instant{1'000'000});
  powerdns_.use(brain_.view(), WallTime{1'700'000'000'000});
  const json zone = result("/dns/getAllDomains").at(0);
  EXPECT_EQ(zone.at("zone"), "api.test.");
  EXPECT_GT(zone.at("serial"), before);
  EXPECT_EQ(result("/dns/startTransaction/1"), false) << "it is only read";
}

TEST_F(PowerDnsTest, WhatPowerDnsWouldNotSendIsRefusedWithTheReason) {
  for (const std::string path :
       {"/dns/lookup/%zz/A", "/dns/lookup/a%2/A", "/dns/lookup/a..b./A", "/dns/lookup/a%00b.api.test./A",
        "/dns/lookup/%ff.api.test./A", "/dns/lookup/api.test./NOTYPE"}) {
    const auto response = get(path);
    EXPECT_EQ(response.status, 400) << path;
    EXPECT_EQ(response.headers.get("Content-Type"), "application/problem+json") << path;
  }
  EXPECT_EQ(get("/dns/lookup/" + std::string(4000, 'a') + "/A").status, 400);
  EXPECT_EQ(get("/other/lookup/api.test./A").status, 404);
  net::HttpRequest post;
  post.method = "POST";
  post.path = "/dns/lookup/api.test./A";
  EXPECT_EQ(powerdns_.answer(post).status, 405);
}

TEST_F(PowerDnsTest, AClientThatIsNotSaidInFullIsServedByTheResolversPlace) {
  for (const char* odd : {"", "nonsense", "10.3.0.0/", "10.3.0.0/x", "10.3.0.0/1234"})
    EXPECT_THAT(contents("/dns/lookup/api.test./A", odd), ElementsAre("192.0.2.1", "192.0.2.2")) << odd;
}

}  // namespace
}  // namespace evercert::traffic::dns
