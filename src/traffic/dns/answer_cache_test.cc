// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/answer_cache.h"

#include <gtest/gtest.h>

#include "traffic/dns/message_test.h"
#include "traffic/dns/query.h"

namespace evercert::traffic::dns {
namespace {

void look(AnswerCache& cache, const Ask& ask) {
  const auto bytes = ask.bytes();
  ASSERT_TRUE(cache.look_at(bytes, question_name_bytes(bytes)));
}

TEST(AnswerCache, TheIdAndTheCaseOfTheNameMakeNoDifferenceAndAllElseDoes) {
  AnswerCache cache(64, 1);
  look(cache, {"api.test."});
  cache.keep(5, "answer", ResponseKind::kAnswer, 0);
  look(cache, {"api.test.", LDNS_RR_TYPE_A, 99});
  ASSERT_NE(cache.find(5), nullptr);
  EXPECT_EQ(cache.find(5)->answer, "answer");
  EXPECT_EQ(cache.find(6), nullptr) << "another place";
  look(cache, {"aPI.tESt."});
  EXPECT_NE(cache.find(5), nullptr);
  look(cache, {"api.test.", LDNS_RR_TYPE_AAAA});
  EXPECT_EQ(cache.find(5), nullptr);
  look(cache, {"apj.test."});
  EXPECT_EQ(cache.find(5), nullptr);
  Ask edns{"api.test."};
  edns.edns = true;
  look(cache, edns);
  EXPECT_EQ(cache.find(5), nullptr);
}

TEST(AnswerCache, LettersInOptionsAreNotFolded) {
  AnswerCache cache(64, 1);
  Ask ask{"api.test."};
  ask.edns = true;
  ask.options = {{10, "ABCDEFGH"}};
  look(cache, ask);
  cache.keep(kAnybody, "answer", ResponseKind::kAnswer, 0);
  ask.options = {{10, "abcdefgh"}};
  look(cache, ask);
  EXPECT_EQ(cache.find(kAnybody), nullptr);
}

TEST(AnswerCache, ClearedItKnowsNothing) {
  AnswerCache cache(64, 1);
  look(cache, {"api.test."});
  cache.keep(5, "answer", ResponseKind::kAnswer, 0);
  cache.clear();
  EXPECT_EQ(cache.find(5), nullptr);
}

TEST(AnswerCache, ItKeepsNoMoreThanItsSizeAndTheLatest) {
  AnswerCache cache(64, 1);
  int found = 0;
  for (int i = 0; i < 1000; ++i) {
    look(cache, {"n" + std::to_string(i) + ".api.test."});
    cache.keep(5, std::to_string(i), ResponseKind::kAnswer, 0);
    ASSERT_NE(cache.find(5), nullptr);
  }
  for (int i = 0; i < 1000; ++i) {
    look(cache, {"n" + std::to_string(i) + ".api.test."});
    if (const auto* kept = cache.find(5)) {
      EXPECT_EQ(kept->answer, std::to_string(i));
      ++found;
    }
  }
  EXPECT_LE(found, 64);
  EXPECT_GE(found, 32);
}

}  // namespace
}  // namespace evercert::traffic::dns
