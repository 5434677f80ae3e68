// SPDX-License-Identifier: Apache-2.0
#include "ca/sweeper.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "store/keys.h"
#include "testkit/fakes.h"
#include "testkit/memory_store.h"

namespace evercert::ca {
namespace {

class SweeperTest : public testing::Test {
 protected:
  SweeperTest() {
    lead({kGlobalGroup, GroupId{1}});
    options.records_at_a_time = 3;
  }
  void lead(std::vector<GroupId> here) {
    store.status.clear();
    for (std::uint32_t g = 0; g <= 3; ++g) {
      store::GroupStatus status;
      status.group = GroupId{g};
      status.leads_here = std::find(here.begin(), here.end(), GroupId{g}) != here.end();
      store.status.push_back(status);
    }
  }
  void submit(GroupId group, store::v1::Command command) {
    store.proposed_at_ms = wall.now().ms;
    ASSERT_TRUE(testkit::finish(executor, store.submit(executor, group, std::move(command), 1s)).has_value());
  }
  void order(std::uint32_t group, const std::string& id) {
    store::v1::Command command;
    command.mutable_create_order()->mutable_order()->set_id(id);
    command.mutable_create_order()->mutable_order()->set_expires_at_ms(wall.now().ms);
    submit(GroupId{group}, std::move(command));
  }
  void claim(const std::string& key) {
    store::v1::Command command;
    command.mutable_claim_request_key()->set_request_key(key);
    submit(kGlobalGroup, std::move(command));
  }

  testkit::ManualExecutor executor;
  testkit::FakeWallClock wall{1'000'000'000};
  testkit::MemoryStore store{3};
  SweepOptions options;
};

TEST_F(SweeperTest, WhatIsOverGoesPieceByPieceWhereThisNodeLeads) {
  for (int i = 0; i < 10; ++i) {
    order(1, "a" + std::to_string(i));
    order(2, "b" + std::to_string(i));
    claim("key" + std::to_string(i));
  }
  Sweeper sweeper(options, store, wall, executor);
  sweeper.start();
  executor.advance(20s);
  EXPECT_EQ(sweeper.counts().orders, 0u) << "kept for a while";
  wall.advance(2 * 86'400);
  const auto commands = store.applied.size();
  executor.advance(1s);
  EXPECT_EQ(sweeper.counts().orders, 3u);
  EXPECT_EQ(store.applied.size() - commands, 1u);
  executor.advance(10s);
  EXPECT_EQ(sweeper.counts().orders, 10u);
  EXPECT_EQ(sweeper.counts().request_keys, 0u);
  EXPECT_TRUE(store.order("b3").value().has_value()) << "another leads that group";
  wall.advance(6 * 86'400);
  executor.advance(20s);
  EXPECT_EQ(sweeper.counts().request_keys, 10u);
  EXPECT_FALSE(store.request_key("key3").value().has_value());
}

TEST_F(SweeperTest, ASweepThatIsLostIsMadeUpForByTheNextWalk) {
  order(1, "a0");
  wall.advance(2 * 86'400);
  store.next(testkit::MemoryStore::Fate::kRefused);
  Sweeper sweeper(options, store, wall, executor);
  sweeper.start();
  executor.advance(1s);
  EXPECT_TRUE(store.order("a0").value().has_value());
  executor.advance(2s);
  EXPECT_FALSE(store.order("a0").value().has_value());
}

TEST_F(SweeperTest, AClockThatIsNotTrustedEndsNothing) {
  order(1, "a0");
  wall.advance(2 * 86'400);
  store.trusted_clock = false;
  Sweeper sweeper(options, store, wall, executor);
  sweeper.start();
  executor.advance(10s);
  EXPECT_TRUE(store.order("a0").value().has_value());
}

}  // namespace
}  // namespace evercert::ca
