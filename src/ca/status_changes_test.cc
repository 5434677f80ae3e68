// SPDX-License-Identifier: Apache-2.0
#include "ca/status_changes.h"

#include <gtest/gtest.h>

namespace evercert::ca {
namespace {

using Serials = std::vector<std::string>;

TEST(StatusChanges, NewsAreWhatCameSinceInOrder) {
  StatusChanges changes(7);
  const auto begin = changes.position();
  changes.changed("a");
  changes.changed("b");
  const auto news = changes.since(begin);
  EXPECT_FALSE(news.everything);
  EXPECT_EQ(news.serials, (Serials{"a", "b"}));
  EXPECT_EQ(news.position.number, begin.number + 2);
  EXPECT_EQ(news.position, changes.position());
  EXPECT_TRUE(changes.since(news.position).serials.empty());
  changes.changed("a");
  EXPECT_EQ(changes.since(news.position).serials, (Serials{"a"}));
}

TEST(StatusChanges, WhoAsksForMoreThanIsRememberedMustDropEverything) {
  StatusChanges changes(7, 2);
  const auto begin = changes.position();
  changes.changed("a");
  const auto later = changes.position();
  changes.changed("b");
  EXPECT_FALSE(changes.since(begin).everything);
  changes.changed("c");
  EXPECT_TRUE(changes.since(begin).everything);
  EXPECT_TRUE(changes.since(begin).serials.empty());
  EXPECT_EQ(changes.since(later).serials, (Serials{"b", "c"}));
}

TEST(StatusChanges, AnotherListOrOneFromTheFutureIsNotMistakenForThisOne) {
  StatusChanges changes(7);
  changes.changed("a");
  EXPECT_TRUE(changes.since({8, 0}).everything);
  EXPECT_TRUE(changes.since({0, 0}).everything);
  EXPECT_TRUE(changes.since({7, 2}).everything);
}

TEST(StatusChanges, AfterAReplacementEverythingMayHaveChanged) {
  StatusChanges changes(7);
  const auto before = changes.position();
  changes.replaced(8);
  EXPECT_TRUE(changes.since(before).everything);
  const auto after = changes.since(before).position;
  EXPECT_FALSE(changes.since(after).everything);
}

}  // namespace
}  // namespace evercert::ca
