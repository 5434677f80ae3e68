// SPDX-License-Identifier: Apache-2.0
#include "traffic/shares/shares.h"

#include <gtest/gtest.h>

namespace evercert::traffic {
namespace {

TEST(Shares, WhatIsWrittenIsReadAndWhoIsNotNamedHasAll) {
  Shares shares;
  shares.percent = {{"us-east-1", 0}, {"us-west-2", 25}};
  shares.by = "failover F-1";
  shares.revision = 17;
  const auto read = parse_shares(to_json(shares));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->of("us-east-1"), 0);
  EXPECT_EQ(read->of("us-west-2"), 25);
  EXPECT_EQ(read->of("eu-central-1"), 100);
  EXPECT_EQ(read->by, "failover F-1");
  EXPECT_EQ(read->revision, 17);
}

TEST(Shares, ADocumentThatIsWrongIsRefusedAsAWhole) {
  for (const char* bad : {"", "[]", "{}", R"({"version":2,"shares":{}})", R"({"version":1,"shares":[1]})",
                          R"({"version":1,"shares":{"a":101}})", R"({"version":1,"shares":{"a":-1}})",
                          R"({"version":1,"shares":{"a":"5"}})", R"({"version":1,"shares":{"a":5.5}})",
                          R"({"version":1,"shares":{"":5}})", R"({"version":1,"shares":{"a":5},"revision":-1})"})
    EXPECT_FALSE(parse_shares(bad)) << bad;
}

}  // namespace
}  // namespace evercert::traffic
