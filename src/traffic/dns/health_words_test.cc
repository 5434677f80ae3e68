// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/health_words.h"

#include <gtest/gtest.h>

namespace evercert::traffic::dns {
namespace {

constexpr Instant kStart{1'000'000'000};

std::string document(const std::string& out) {
  return R"({"regions":[{"region":"a","out":)" + std::string(out == "a" ? "true" : "false") +
         R"(},{"region":"b","out":)" + (out == "b" ? "true" : "false") + R"(},{"region":"elsewhere","out":true}]})";
}

TEST(HealthWords, TwoRegionsMustSaySo) {
  HealthWords words({"a", "b", "c"});
  words.said(0, document("b"), kStart);
  EXPECT_EQ(words.review(kStart), (std::vector<std::string>{"", "", ""})) << "one alone moves nothing";
  words.said(0, document("b"), kStart);
  EXPECT_EQ(words.review(kStart)[1], "") << "saying it twice is one word";
  words.said(1, document("b"), kStart);
  EXPECT_EQ(words.review(kStart)[1], "a and b") << "its own word counts";
}

TEST(HealthWords, TwoMustSayThatItIsBackAndNotTooSoon) {
  HealthWords words({"a", "b", "c"});
  words.said(0, document("b"), kStart);
  words.said(1, document("b"), kStart);
  ASSERT_EQ(words.review(kStart)[1], "a and b");
  words.said(0, document(""), kStart + 29s);
  words.said(1, document(""), kStart + 29s);
  EXPECT_EQ(words.review(kStart + 29s)[1], "a and b") << "a change 29 s after the last one";
  words.said(0, document("b"), kStart + 30s);
  EXPECT_EQ(words.review(kStart + 30s)[1], "a and b") << "one says so, one does not";
  words.said(2, document(""), kStart + 31s);
  EXPECT_EQ(words.review(kStart + 31s)[1], "");
}

TEST(HealthWords, AnOldWordSaysNothingAndSilenceIsNotARecovery) {
  HealthWords words({"a", "b", "c"});
  words.said(0, document("b"), kStart);
  words.said(2, document("b"), kStart + 16s);
  EXPECT_EQ(words.review(kStart + 16s)[1], "") << "a's word is 16 s old";
  words.said(0, document("b"), kStart + 17s);
  EXPECT_EQ(words.review(kStart + 17s)[1], "a and c");
  EXPECT_EQ(words.review(kStart + 3600s)[1], "a and c") << "nobody says that it is back";
  words.said(0, document(""), kStart + 3600s);
  EXPECT_EQ(words.review(kStart + 3600s)[1], "a and c") << "one region alone";
  words.said(1, document(""), kStart + 3600s);
  EXPECT_EQ(words.review(kStart + 3600s)[1], "");
}

TEST(HealthWords, RubbishSaysNothingAndTakesNothingBack) {
  HealthWords words({"a", "b"});
  words.said(0, document("a"), kStart);
  words.said(1, document("a"), kStart);
  for (const char* bad : {"", "[]", "{}", R"({"regions":5})", R"({"regions":[5]})", R"({"regions":[{"region":"a"}]})",
                          R"({"regions":[{"region":"a","out":"yes"}]})"})
    words.said(1, bad, kStart);
  words.said(1, std::string(kLargestHealth + 1, ' '), kStart);
  EXPECT_EQ(words.review(kStart)[0], "a and b");
}

}  // namespace
}  // namespace evercert::traffic::dns
