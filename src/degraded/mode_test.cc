// SPDX-License-Identifier: Apache-2.0
#include "degraded/mode.h"

#include <gtest/gtest.h>

namespace evercert::degraded {
namespace {

using Lost = std::vector<std::optional<std::int64_t>>;

TEST(Mode, SaysWhichSinceWhenAndWhy) {
  ModeWatch watch({"global", "east", "west"}, WallTime{1'000'000});
  EXPECT_FALSE(watch.look(Lost{{}, {}, {}}, 0, WallTime{1'001'000})) << "nothing to tell";
  EXPECT_EQ(watch.view().mode, Mode::kNormal);

  EXPECT_TRUE(watch.look(Lost{{}, {}, 5'000}, 0, WallTime{1'010'000}));
  EXPECT_EQ(watch.view().mode, Mode::kPartial);
  EXPECT_EQ(watch.view().since.ms, 1'005'000) << "since the leader was seen last";
  EXPECT_NE(watch.view().why.find("west"), std::string::npos);
  EXPECT_TRUE(watch.view().has_lost(GroupId{2}) && !watch.view().has_lost(GroupId{1}));

  EXPECT_TRUE(watch.look(Lost{6'000, 5'000, 8'000}, 3, WallTime{1'013'000}));
  EXPECT_EQ(watch.view().mode, Mode::kNoMajority);
  EXPECT_EQ(watch.view().since.ms, 1'005'000) << "the same trouble goes on";
  EXPECT_FALSE(watch.look(Lost{7'000, 6'000, 9'000}, 4, WallTime{1'014'000})) << "told once";

  EXPECT_TRUE(watch.look(Lost{{}, {}, {}}, 4, WallTime{1'020'000}));
  EXPECT_EQ(watch.view().mode, Mode::kReconciling);
  EXPECT_FALSE(watch.view().anything_lost());
  const auto line = watch.look(Lost{{}, {}, {}}, 0, WallTime{1'030'000});
  ASSERT_TRUE(line);
  EXPECT_NE(line->find("normal, after reconciling"), std::string::npos) << *line;
  EXPECT_TRUE(watch.view().why.empty());
}

}  // namespace
}  // namespace evercert::degraded
