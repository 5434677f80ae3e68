// SPDX-License-Identifier: Apache-2.0
#include "node/dir_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace evercert::node {
namespace {

class DirLockTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/evercert-lock-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    dir = path;
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
  std::string dir;
};

TEST_F(DirLockTest, ASecondHolderIsRefusedAndToldWhoHasIt) {
  DirLock first, second;
  ASSERT_TRUE(first.take(dir));
  const Status refused = second.take(dir);
  ASSERT_FALSE(refused);
  for (const auto& word : {dir, "in use by another process (" + std::to_string(getpid()) + ")", std::string("--data")})
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
}

TEST_F(DirLockTest, WhatAnEndedProcessLeftDoesNotStandInTheWay) {
  { ASSERT_TRUE(DirLock().take(dir)); }
  DirLock next;
  EXPECT_TRUE(next.take(dir));
}

}  // namespace
}  // namespace evercert::node
