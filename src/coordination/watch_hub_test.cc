// SPDX-License-Identifier: Apache-2.0
#include "coordination/watch_hub.h"

#include <gtest/gtest.h>

#include "testkit/map_state.h"

namespace evercert::coordination {
namespace {

// What the state is now, for one reader.
class Copy : public View {
 public:
  explicit Copy(MapState state) : state_(std::move(state)) {}
  Result<std::optional<std::string>> get(const std::string& key) const override { return state_.get(key); }
  Status scan(const std::string& from, const std::string& to, const Visit& visit) const override {
    return state_.scan(from, to, visit);
  }

 private:
  MapState state_;
};

class WatchHubTest : public testing::Test {
 protected:
  explicit WatchHubTest(std::size_t most = 1 << 20) : hub([this] { return std::make_unique<Copy>(state); }, most) {}
  void apply(const v1::Command& command) {
    Effects effects;
    ASSERT_TRUE(coordination::apply(command, state, effects).has_value());
    hub.applied(effects);
  }
  void put(const std::string& key, const std::string& value) { apply(put_command(key, value)); }
  WatchHub::Id watch(const std::string& key, std::int64_t start = 0, const std::string& end = "") {
    return *hub.add({key_range(key, end), start, true, true}, [this] { ++woken; });
  }
  // "revision:key=value", or "revision:-key" of a deletion.
  std::string taken(WatchHub::Id id, std::size_t most_bytes = 1 << 20) {
    std::string text;
    for (bool more = true; more;) {
      const auto news = hub.take(id, most_bytes);
      EXPECT_TRUE(news.has_value());
      more = news->more;
      for (const auto& event : news->events) {
        const auto& kv = event->kv();
        text += (text.empty() ? "" : " ") + std::to_string(kv.mod_revision()) + ":";
        text += event->type() == mvccpb::Event::DELETE ? "-" + kv.key() : kv.key() + "=" + kv.value();
      }
      if (news->compacted) return text + " compacted " + std::to_string(*news->compacted);
    }
    return text;
  }

  MapState state;
  WatchHub hub;
  int woken = 0;
};
class SlowWatcherTest : public WatchHubTest {
 protected:
  SlowWatcherTest() : WatchHubTest(64) {}
};

TEST_F(WatchHubTest, AWatchFromNowSeesWhatComesAndNothingElse) {
  put("a", "1");
  const auto id = watch("a");
  EXPECT_EQ(taken(id), "");
  put("b", "1");
  put("a", "2");
  EXPECT_EQ(woken, 1);
  put("a", "3");
  EXPECT_EQ(woken, 1);  // not again before it has looked
  EXPECT_EQ(taken(id), "4:a=2 5:a=3");
  apply(delete_command("a"));
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(taken(id), "6:-a");
}

TEST_F(WatchHubTest, AWatchResumesFromItsRevisionAndThenGoesOn) {
  for (const char* value : {"1", "2", "3"}) put("a", value);  // 2..4
  const auto id = watch("a", 3);
  EXPECT_EQ(taken(id), "3:a=2 4:a=3");
  put("a", "4");
  EXPECT_EQ(taken(id), "5:a=4");
}

TEST_F(WatchHubTest, AWatchOfARevisionToComeWaitsForIt) {
  put("a", "1");
  const auto id = watch("a", 4);
  EXPECT_EQ(taken(id), "");
  put("a", "2");  // 3
  put("a", "3");  // 4
  EXPECT_EQ(taken(id), "4:a=3");
}

TEST_F(WatchHubTest, AWatchOfWhatWasCompactedIsToldSo) {
  for (const char* value : {"1", "2", "3"}) put("a", value);  // 2..4
  apply(compact_command(4));
  EXPECT_EQ(taken(watch("a", 3)), " compacted 4");
  EXPECT_EQ(taken(watch("a", 4)), "4:a=3");
}

TEST_F(WatchHubTest, ARangeIsWatchedWithoutItsEnd) {
  const auto id = watch("a", 0, "c");
  taken(id);
  put("a", "1");
  put("b", "1");
  put("c", "1");
  EXPECT_EQ(taken(id), "2:a=1 3:b=1");
}

TEST_F(WatchHubTest, ALongHistoryComesInPiecesOfWholeRevisions) {
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    put("a", std::to_string(i));
    expected += (i == 0 ? "" : " ") + std::to_string(i + 2) + ":a=" + std::to_string(i);
  }
  EXPECT_EQ(taken(watch("a", 1), 30), expected);
}

TEST_F(WatchHubTest, EveryEventComesOnceWhateverIsAppliedWhileAWatchCatchesUp) {
  for (int i = 0; i < 10; ++i) put("a", std::to_string(i));
  const auto id = watch("a", 2);
  std::vector<std::int64_t> seen;
  for (int round = 0; round < 30; ++round) {
    const auto news = hub.take(id, 30);
    ASSERT_TRUE(news.has_value());
    for (const auto& event : news->events) seen.push_back(event->kv().mod_revision());
    if (round < 10) put("a", "more");
  }
  ASSERT_EQ(seen.size(), 20u);
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<std::int64_t>(i + 2));
}

TEST_F(SlowWatcherTest, ASlowWatcherHoldsLittleAndMissesNothing) {
  const auto id = watch("a");
  taken(id);
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    put("a", std::to_string(i));
    expected += (i == 0 ? "" : " ") + std::to_string(i + 2) + ":a=" + std::to_string(i);
  }
  EXPECT_EQ(hub.progress(id), std::nullopt);
  EXPECT_EQ(taken(id), expected);
  EXPECT_EQ(hub.progress(id), 51);
}

TEST_F(SlowWatcherTest, ASlowWatcherThatCompactionOvertakesIsTold) {
  const auto id = watch("a");
  taken(id);
  for (int i = 0; i < 50; ++i) put("a", std::to_string(i));
  apply(compact_command(40));
  EXPECT_EQ(taken(id), " compacted 40");
}

TEST_F(WatchHubTest, AfterASnapshotAWatchGoesOnFromTheHistory) {
  put("a", "1");
  const auto id = watch("a", 2);
  EXPECT_EQ(taken(id), "2:a=1");
  Effects unseen;
  ASSERT_TRUE(coordination::apply(put_command("a", "2"), state, unseen).has_value());
  hub.replaced();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(taken(id), "3:a=2");
}

TEST_F(WatchHubTest, ARemovedWatchIsWokenNoMore) {
  const auto id = watch("a"), range = watch("a", 0, "b");
  taken(id);
  taken(range);
  hub.remove(id);
  hub.remove(range);
  put("a", "1");
  EXPECT_EQ(woken, 0);
  EXPECT_EQ(hub.size(), 0u);
}

}  // namespace
}  // namespace evercert::coordination
