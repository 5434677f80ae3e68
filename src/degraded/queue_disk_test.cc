// SPDX-License-Identifier: Apache-2.0
// What was told to be queued is there after every kind of end; what is damaged is told so and not passed over.
#include "degraded/queue_disk.h"

#include <gtest/gtest.h>

#include "base/fake_disk.h"
#include "base/log.h"
#include "sim/seeded_random.h"

namespace evercert::degraded {
namespace {

const std::string kDir = "/node/queue";

class QueueDiskTest : public testing::Test {
 protected:
  QueueDiskTest() { set_log_level(LogLevel::kOff); }
  ~QueueDiskTest() override { set_log_level(LogLevel::kInfo); }

  std::unique_ptr<QueueDisk> open() {
    auto opened = QueueDisk::open(disk, kDir, limits);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    return opened ? std::move(*opened) : nullptr;
  }
  FakeDisk disk;
  QueueLimits limits;
};

TEST_F(QueueDiskTest, WhereverThePowerGoesOffAWriteIsThereWhollyOrNotAndWhatWasAcknowledgedIs) {
  const auto run = [&](std::uint64_t operations, std::size_t keep) {
    disk = FakeDisk{};
    disk.power_off_after(operations);
    std::map<std::string, std::string> acknowledged;
    int begun = 0;
    if (auto opened = QueueDisk::open(disk, kDir, limits)) {
      for (int i = 1; i <= 4; ++i) {
        begun = i;
        const std::string value(100, static_cast<char>('a' + i));
        if (!(*opened)->write({{"a" + std::to_string(i), value}, {"b" + std::to_string(i), value}})) break;
        acknowledged["a" + std::to_string(i)] = acknowledged["b" + std::to_string(i)] = value;
      }
    }
    const bool went_off = disk.powered_off();
    disk.crash_keeping(keep);
    const auto again = open();
    if (again == nullptr) return false;
    const auto& records = again->records();
    for (const auto& [key, value] : acknowledged) {
      EXPECT_TRUE(records.contains(key) && records.at(key) == value) << key << " after " << operations;
    }
    EXPECT_LE(records.size(), 2u * static_cast<std::size_t>(begun));
    EXPECT_EQ(records.size() % 2, 0u) << "half a write, after " << operations << " operations";
    return went_off;
  };
  for (const std::size_t keep : {0, 1, 60, 200, 10'000}) {
    std::uint64_t operations = 0;
    while (run(operations, keep)) ++operations;
    EXPECT_GT(operations, 8u);
  }
}

TEST_F(QueueDiskTest, DamageIsToldWithTheFileAndTheWayOut) {
  open()->write({{"a", "1"}}).value();
  {
    const auto again = open();
    again->write({{"b", std::string(200, '2')}}).value();
    again->write({{"c", "3"}}).value();
  }
  int damaged = 0;
  const std::vector<std::string> names = disk.list(kDir).value();
  // Everywhere in the writes that have another one behind them.
  for (std::uint64_t where = 0; where < 40; ++where) {
    FakeDisk rotten;
    ASSERT_TRUE(rotten.make_dirs(kDir));
    for (const auto& name : names) rotten.set_contents(kDir + "/" + name, disk.contents(kDir + "/" + name));
    rotten.flip_bit(kDir + "/" + names.back(), where * 37);
    const auto opened = QueueDisk::open(rotten, kDir, limits);
    ASSERT_FALSE(opened) << "bit " << where * 37;
    ++damaged;
    EXPECT_EQ(opened.error().code, Code::kCorrupt);
    EXPECT_NE(opened.error().message.find(kDir), std::string::npos);
    EXPECT_NE(opened.error().message.find("move it away"), std::string::npos);
  }
  EXPECT_EQ(damaged, 40);
}

TEST_F(QueueDiskTest, NothingIsWrittenAfterAFailedSync) {
  const auto opened = open();
  ASSERT_TRUE(opened->write({{"a", "1"}}));
  disk.fail_next_sync();
  EXPECT_FALSE(opened->write({{"b", "2"}}));
  EXPECT_FALSE(opened->write({{"c", "3"}})) << "what the kernel has kept is not known";
  disk.crash_keeping(0);
  EXPECT_EQ(open()->records().size(), 1u);
}

TEST_F(QueueDiskTest, WhatIsTakenAwayDoesNotComeBackAndFilesDoNotPileUp) {
  limits.bytes = 1;  // files of 4 MiB
  auto opened = open();
  const std::string big(300'000, 'x');
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(opened->write({{"key" + std::to_string(i), big}}));
    if (i < 3) continue;
    ASSERT_TRUE(opened->write({{"key" + std::to_string(i - 3), std::nullopt}}));
  }
  EXPECT_LE(disk.list(kDir)->size(), 2u);
  disk.crash_keeping(0);
  EXPECT_EQ(open()->records().size(), 3u);
}

}  // namespace
}  // namespace evercert::degraded
