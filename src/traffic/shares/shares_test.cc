// SPDX-License-Identifier: Apache-2.0
#include "traffic/shares/shares.h"

#include <gtest/gtest.h>

namespace evercert::traffic {
namespace {

TEST(Shares, WhatIsWrittenIsReadAndWhoIsNotNamedHasAll) {
  Shares shares;
  shares.percent = {{"us-east-1", 0}, {"us-west-2", 25}};
  shares.nodes = {{"eu-central-1/2", 5}};
  shares.by = "failover F-1";
  shares.revision = 17;
  const auto read = parse_shares(to_json(shares));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->of("us-east-1"), 0);
  EXPECT_EQ(read->of("us-west-2"), 25);
  EXPECT_EQ(read->of("eu-central-1"), 100);
  EXPECT_EQ(read->of_node("eu-central-1/2"), 5);
  EXPECT_EQ(read->of_node("eu-central-1/1"), 100);
  EXPECT_EQ(read->by, "failover F-1");
  EXPECT_EQ(read->revision, 17);
}

TEST(Shares, ADocumentThatIsWrongIsRefusedAsAWhole) {
  for (const char* bad :
       {"", "[]", "{}", R"({"version":2,"shares":{}})", R"({"version":1,"shares":[1]})",
        R"({"version":1,"shares":{"a":101}})", R"({"version":1,"shares":{"a":-1}})",
        R"({"version":1,"shares":{"a":"5"}})", R"({"version":1,"shares":{"a":5.5}})",
        R"({"version":1,"shares":{"":5}})", R"({"version":1,"shares":{},"nodes":[]})",
        R"({"version":1,"shares":{},"nodes":{"a/1":101}})", R"({"version":1,"shares":{"a":5},"revision":-1})"})
    EXPECT_FALSE(parse_shares(bad)) << bad;
}

TEST(Shares, ADocumentWithoutNodesIsStillOne) {
  const auto read = parse_shares(R"({"version":1,"shares":{"a":5},"something":"new"})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->of_node("a/1"), 100);
}

TEST(Shares, TurnsAreSpreadEvenlyAndOfEachNameAnew) {
  int below = 0, both = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto client =
        prefix_of(*parse_address("10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1"), 24);
    const bool of_a = turn_of(client, "a") < 25, of_b = turn_of(client, "b") < 25;
    EXPECT_EQ(turn_of(client, "a"), turn_of(client, "a"));
    below += of_a ? 1 : 0;
    both += of_a && of_b ? 1 : 0;
  }
  EXPECT_NEAR(below, 2500, 200);
  EXPECT_NEAR(both, 625, 120) << "who is turned away from one is not for that turned away from another";
}

}  // namespace
}  // namespace evercert::traffic
