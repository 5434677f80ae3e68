// SPDX-License-Identifier: Apache-2.0
#include "node/founding.h"

#include <gtest/gtest.h>

#include "base/fake_disk.h"

namespace evercert::node {
namespace {

TEST(Founding, ANodeMayFoundUntilItsDiskIsLostAndNeverAgain) {
  FakeDisk disk;
  ASSERT_TRUE(disk.make_dirs("/keys"));
  ASSERT_TRUE(disk.make_dirs("/data"));
  ASSERT_TRUE(write_file_durably(disk, "/keys/node-1.founding", "x"));
  EXPECT_TRUE(take_founding(disk, "/keys/node-1.founding", "/data").value());
  EXPECT_FALSE(disk.exists("/keys/node-1.founding"));
  EXPECT_TRUE(take_founding(disk, "/keys/node-1.founding", "/data").value()) << "a start that was cut short";
  ASSERT_TRUE(disk.make_dirs("/data2"));
  EXPECT_FALSE(take_founding(disk, "/keys/node-1.founding", "/data2").value()) << "another disk";
}

}  // namespace
}  // namespace evercert::node
