// SPDX-License-Identifier: Apache-2.0
#include "traffic/shares/agreement.h"

#include <gtest/gtest.h>

namespace evercert::traffic {
namespace {

std::string document(int percent, std::int64_t revision) {
  Shares shares;
  shares.percent["a"] = percent;
  shares.revision = revision;
  return to_json(shares);
}

TEST(SharesAgreement, OneRegionMovesNoTraffic) {
  SharesAgreement agreement(3);
  EXPECT_FALSE(agreement.said(0, document(0, 1000)));
  EXPECT_FALSE(agreement.said(0, document(0, 1000))) << "saying it twice is one word";
  EXPECT_FALSE(agreement.said(1, document(50, 1000))) << "the same revision with other contents is no agreement";
  EXPECT_EQ(agreement.shares().of("a"), 100);
  EXPECT_TRUE(agreement.said(2, document(50, 1000)));
  EXPECT_EQ(agreement.shares().of("a"), 50);
}

TEST(SharesAgreement, WhoLagsTakesNothingBack) {
  SharesAgreement agreement(3);
  agreement.said(0, document(0, 7));
  ASSERT_TRUE(agreement.said(1, document(0, 7)));
  EXPECT_FALSE(agreement.said(2, document(100, 3)));
  EXPECT_FALSE(agreement.said(0, document(100, 3)));
  EXPECT_EQ(agreement.shares().of("a"), 0);
}

TEST(SharesAgreement, ALieAboutTheFutureDoesNotKeepTheOthersFromAgreeing) {
  SharesAgreement agreement(3);
  agreement.said(0, document(0, 1'000'000));
  agreement.said(1, document(25, 8));
  EXPECT_TRUE(agreement.said(2, document(25, 8)));
  EXPECT_EQ(agreement.shares().of("a"), 25);
}

TEST(SharesAgreement, RubbishSaysNothing) {
  SharesAgreement agreement(2);
  EXPECT_FALSE(agreement.said(0, "{"));
  EXPECT_FALSE(agreement.said(1, document(5, 2)));
  EXPECT_EQ(agreement.shares().of("a"), 100);
}

TEST(SharesAgreement, ASingleRegionIsBelievedAlone) {
  SharesAgreement agreement(1);
  EXPECT_TRUE(agreement.said(0, document(5, 2)));
}

}  // namespace
}  // namespace evercert::traffic
