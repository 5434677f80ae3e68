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
  EXPECT_EQ(words.out(kStart), (std::vector<std::string>{"", "", ""})) << "one alone moves nothing";
  words.said(0, document("b"), kStart);
  EXPECT_EQ(words.out(kStart)[1], "") << "saying it twice is one word";
  words.said(1, document("b"), kStart);
  EXPECT_EQ(words.out(kStart)[1], "a and b") << "its own word counts";
  words.said(0, document(""), kStart);
  EXPECT_EQ(words.out(kStart)[1], "");
}

TEST(HealthWords, AnOldWordSaysNothing) {
  HealthWords words({"a", "b", "c"});
  words.said(0, document("b"), kStart);
  words.said(2, document("b"), kStart + 10s);
  EXPECT_EQ(words.out(kStart + 15s)[1], "a and c");
  EXPECT_EQ(words.out(kStart + 16s)[1], "");
}

TEST(HealthWords, RubbishSaysNothingAndTakesNothingBack) {
  HealthWords words({"a", "b"});
  words.said(0, document("a"), kStart);
  words.said(1, document("a"), kStart);
  for (const char* bad : {"", "[]", "{}", R"({"regions":5})", R"({"regions":[5]})", R"({"regions":[{"region":"a"}]})",
                          R"({"regions":[{"region":"a","out":"yes"}]})"})
    words.said(1, bad, kStart);
  words.said(1, std::string(kLargestHealth + 1, ' '), kStart);
  EXPECT_EQ(words.out(kStart)[0], "a and b");
}

}  // namespace
}  // namespace evercert::traffic::dns
