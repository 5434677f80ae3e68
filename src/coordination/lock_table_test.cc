// SPDX-License-Identifier: Apache-2.0
#include "coordination/lock_table.h"

#include <gtest/gtest.h>

#include "coordination/keyspace.h"
#include "testkit/map_state.h"

namespace evercert::coordination {
namespace {

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

using Place = LockTable::Place;

class LockTableTest : public testing::Test {
 protected:
  // A command that the state shows and the table has not been told of yet.
  Effects applied_silently(const v1::Command& command) {
    Effects effects;
    EXPECT_TRUE(coordination::apply(command, state, effects).has_value());
    return effects;
  }
  void apply(const v1::Command& command) { table.applied(applied_silently(command)); }
  std::int64_t put(const std::string& key) {
    apply(put_command(key, "v"));
    return find_key(state, key).value()->create_revision();
  }
  Place place(LockTable::Contender& who, std::int64_t token) {
    const auto standing = who.standing(token);
    EXPECT_TRUE(standing.has_value());
    return standing ? standing->place : Place::kGone;
  }

  MapState state;
  int views = 0;
  std::function<void()> while_reading;
  LockTable table{[this] {
                    ++views;
                    auto view = std::make_unique<Copy>(state);
                    if (while_reading) std::exchange(while_reading, nullptr)();
                    return view;
                  },
                  2};
};

TEST_F(LockTableTest, TheOldestKeyHoldsTheLockAndItsEndWakesTheNextAlone) {
  int woken_b = 0, woken_c = 0;
  LockTable::Contender a(table, "job", [] {}), b(table, "job", [&] { ++woken_b; }), c(table, "job", [&] { ++woken_c; });
  const auto first = put("job/a"), second = put("job/b"), third = put("job/c");
  EXPECT_EQ(place(a, first), Place::kFirst);
  EXPECT_EQ(place(b, second), Place::kBehind);
  EXPECT_EQ(place(c, third), Place::kBehind);
  apply(delete_command("job/a"));
  EXPECT_EQ(woken_b, 1);
  EXPECT_EQ(woken_c, 0);
  EXPECT_EQ(place(a, first), Place::kGone);
  EXPECT_EQ(place(b, second), Place::kFirst);
  EXPECT_EQ(views, 1) << "read once, told afterwards";
}

TEST_F(LockTableTest, NobodyIsFirstBeforeHisOwnKeyWasSeen) {
  int woken = 0;
  LockTable::Contender a(table, "job", [&] { ++woken; });
  EXPECT_EQ(place(a, 2), Place::kUnseen);
  put("other");  // revision 2 belongs to somebody else
  EXPECT_EQ(place(a, 2), Place::kGone);
  EXPECT_EQ(place(a, 3), Place::kUnseen);
  EXPECT_EQ(put("job/a"), 3);
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(place(a, 3), Place::kFirst);
}

TEST_F(LockTableTest, WhoLosesHisKeyInTheQueueIsToldAndNobodyElseMovesUp) {
  int woken_b = 0, woken_c = 0;
  LockTable::Contender b(table, "job", [&] { ++woken_b; }), c(table, "job", [&] { ++woken_c; });
  put("job/a");
  const auto second = put("job/b"), third = put("job/c");
  EXPECT_EQ(place(b, second), Place::kBehind);
  EXPECT_EQ(place(c, third), Place::kBehind);
  apply(delete_command("job/b"));
  EXPECT_EQ(woken_b, 1);
  EXPECT_EQ(woken_c, 0);
  EXPECT_EQ(place(b, second), Place::kGone);
  EXPECT_EQ(place(c, third), Place::kBehind);
}

TEST_F(LockTableTest, AKeyThatIsMadeAgainGoesToTheEnd) {
  LockTable::Contender a(table, "job", [] {}), b(table, "job", [] {});
  put("job/a");
  const auto second = put("job/b");
  apply(delete_command("job/a"));
  const auto again = put("job/a");
  EXPECT_EQ(place(b, second), Place::kFirst);
  EXPECT_EQ(place(a, again), Place::kBehind);
  put("job/b");  // a new value changes nothing
  EXPECT_EQ(place(b, second), Place::kFirst);
}

TEST_F(LockTableTest, WhatIsAppliedWhileTheKeysAreReadCountsOnce) {
  LockTable::Contender b(table, "job", [] {});
  put("job/a");
  const auto shown = applied_silently(put_command("job/b", "v"));  // the view has it, the table is told later
  while_reading = [&] {
    table.applied(shown);
    apply(delete_command("job/a"));  // the view has it not
    apply(put_command("job/c", "v"));
  };
  EXPECT_EQ(place(b, 3), Place::kFirst);
  LockTable::Contender c(table, "job", [] {});
  EXPECT_EQ(place(c, 5), Place::kBehind);
}

TEST_F(LockTableTest, AKeySpaceThatWasReplacedIsReadAgain) {
  int woken = 0;
  LockTable::Contender b(table, "job", [&] { ++woken; });
  put("job/a");
  const auto second = put("job/b");
  EXPECT_EQ(place(b, second), Place::kBehind);
  (void)applied_silently(delete_command("job/a"));
  table.replaced();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(place(b, second), Place::kFirst);
  EXPECT_EQ(views, 2);
}

TEST_F(LockTableTest, KeysBelowDeeperNamesCountAsInARange) {
  LockTable::Contender outer(table, "job", [] {}), inner(table, "job/x", [] {});
  const auto deep = put("job/x/1");
  const auto flat = put("job/2");
  EXPECT_EQ(place(inner, deep), Place::kFirst);
  EXPECT_EQ(place(outer, flat), Place::kBehind);
}

TEST_F(LockTableTest, NamesThatNobodyAsksForAreForgottenTheLongestIdleFirst) {
  for (const char* name : {"a", "b", "c", "b", "c", "a"}) {
    LockTable::Contender one(table, name, [] {});
    EXPECT_EQ(place(one, 1), Place::kGone);
  }
  EXPECT_EQ(views, 4) << "a, b and c, and a once more";
  EXPECT_EQ(table.contenders(), 0u);
}

}  // namespace
}  // namespace evercert::coordination
