// SPDX-License-Identifier: Apache-2.0
#include "store/log/log.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/encoding.h"
#include "base/fake_disk.h"
#include "base/log.h"
#include "base/os/system.h"
#include "store/log/format.h"

namespace evercert::store {
namespace {

constexpr GroupId kA{1};
constexpr GroupId kB{2};

class CountingRandom : public Random {
 public:
  explicit CountingRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& b : out) {
      state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
      b = static_cast<std::uint8_t>(state_ >> 56);
    }
  }

 private:
  std::uint64_t state_;
};

std::vector<LogEntry> run(std::uint64_t first, std::uint64_t count, std::uint64_t term,
                          const std::string& text = "entry") {
  std::vector<LogEntry> entries;
  for (std::uint64_t i = 0; i < count; ++i) {
    entries.push_back({LogIndex{first + i}, Term{term}, EntryType::kNormal, text + std::to_string(first + i)});
  }
  return entries;
}

std::unique_ptr<Log> open(Disk& disk, LogOptions options = {}) {
  auto log = Log::open(disk, "/log", options);
  EXPECT_TRUE(log.has_value()) << (log ? "" : log.error().message);
  return log ? std::move(*log) : nullptr;
}

class LogTest : public testing::Test {
 protected:
  void SetUp() override { set_log_level(LogLevel::kError); }
  FakeDisk disk;
};

TEST_F(LogTest, WhatWasSyncedIsThereAfterAReopen) {
  {
    auto log = open(disk);
    log->append(kA, run(1, 3, 1));
    log->append(kB, run(1, 2, 4));
    log->set_hard_state(kA, {Term{5}, NodeId{257}, LogIndex{2}});
    log->put_meta("member", "1");
    ASSERT_TRUE(log->sync());
    EXPECT_EQ(disk.syncs(), 1u) << "one fdatasync for all groups";
  }
  CountingRandom random(1);
  disk.crash(random);
  auto log = open(disk);
  EXPECT_EQ(log->last_index(kA), LogIndex{3});
  EXPECT_EQ(log->last_index(kB), LogIndex{2});
  EXPECT_EQ(log->hard_state(kA), (HardState{Term{5}, NodeId{257}, LogIndex{2}}));
  EXPECT_EQ(log->meta("member"), "1");
  const auto entries = log->entries(kA, LogIndex{1}, LogIndex{4}, UINT64_MAX);
  ASSERT_TRUE(entries.has_value());
  EXPECT_EQ((*entries)[2].data, "entry3");
}

TEST_F(LogTest, ATornTailFallsBackToTheLastBatchAtEveryByte) {
  {
    auto log = open(disk);
    log->append(kA, run(1, 2, 1));
    ASSERT_TRUE(log->sync());
  }
  const auto name = "/log/000000000001.log";
  const std::string before = disk.contents(name);
  {
    FakeDisk copy = disk;
    auto log = open(copy);
    log->append(kA, run(3, 1, 1));
    ASSERT_TRUE(log->sync());
  }
  // The second batch as it stands in a file of its own: put behind the first, cut at every length.
  FakeDisk whole;
  {
    auto log = open(whole);
    log->append(kA, run(1, 2, 1));
    ASSERT_TRUE(log->sync());
    log->append(kA, run(3, 1, 1));
    ASSERT_TRUE(log->sync());
  }
  const std::string after = whole.contents(name);
  ASSERT_GT(after.size(), before.size());
  for (std::size_t length = before.size(); length < after.size(); ++length) {
    FakeDisk torn;
    torn.set_contents(name, after.substr(0, length));
    auto log = open(torn);
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->last_index(kA), LogIndex{2}) << "cut at " << length;
    EXPECT_EQ(torn.contents(name).size(), before.size()) << "the tail is gone for good";
    log->append(kA, run(3, 1, 2));
    EXPECT_TRUE(log->sync());
  }
}

TEST_F(LogTest, ABitThatFlipsBeforeTheTailIsReportedWithItsPlaceNeverUsed) {
  {
    auto log = open(disk);
    for (std::uint64_t i = 0; i < 5; ++i) {
      log->append(kA, run(1 + i * 2, 2, 1));
      ASSERT_TRUE(log->sync());
    }
  }
  const std::string name = "/log/000000000001.log";
  const std::size_t last_batch = disk.contents(name).size() / 5 * 4 - 40;
  for (std::uint64_t bit = 0; bit < last_batch * 8; bit += 7) {
    FakeDisk damaged = disk;
    damaged.set_contents(name, disk.contents(name));
    damaged.flip_bit(name, bit);
    const auto log = Log::open(damaged, "/log", {});
    ASSERT_FALSE(log.has_value()) << "bit " << bit;
    EXPECT_NE(log.error().message.find("/log/000000000001.log"), std::string::npos) << log.error().message;
  }
}

TEST_F(LogTest, AVersionsDigitThatRotsIsDamageAndNotAnotherVersion) {
  auto bytes = format::batch(1, "payload");
  for (const char digit : {'1', '3'}) {
    bytes[3] = digit;
    EXPECT_FALSE(format::is_other_version(bytes)) << digit;
    EXPECT_FALSE(format::read_batch(bytes)) << digit;
  }
}

// The batch with its checksum made anew, of what lies behind `covered_from`.
void seal(std::string& bytes, std::size_t covered_from) {
  constexpr std::size_t kCrcAt = format::kBatchHeader - 4;
  const std::uint32_t crc =
      crc32c(bytes.substr(format::kBatchHeader), crc32c(bytes.substr(covered_from, kCrcAt - covered_from)));
  for (int i = 0; i < 4; ++i) bytes[kCrcAt + static_cast<std::size_t>(i)] = static_cast<char>(crc >> (8 * i));
}

TEST_F(LogTest, ANewerVersionsLogIsRefusedWithTheWayOutAndLeftAsItIs) {
  {
    auto log = open(disk);
    log->append(kA, run(1, 3, 1));
    ASSERT_TRUE(log->sync());
  }
  const std::string first = "/log/000000000001.log", second = "/log/000000000002.log";
  std::string later = format::batch(2, "what only the newer version can read");
  later[format::kVersionAt] = '3';
  seal(later, 0);
  later += "and more of it";  // or a tail that it was writing
  disk.set_contents(second, later);
  const std::string before = disk.contents(first);
  const auto refused = Log::open(disk, "/log", {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  for (const std::string& word : {second, std::string("newer version"), std::string("format 3"),
                                  std::string("start that"), std::string("Nothing was changed")})
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  EXPECT_EQ(disk.contents(first), before);
  EXPECT_EQ(disk.contents(second), later);
}

TEST_F(LogTest, AWholeBatchOfAnotherVersionIsToldByItsChecksum) {
  std::string later = format::batch(1, "payload");
  later[3] = '3';
  seal(later, 0);
  EXPECT_TRUE(format::is_other_version(later));
  std::string first = format::batch(1, "payload");
  first[3] = '1';
  seal(first, 4);
  EXPECT_TRUE(format::is_other_version(first)) << "its checksum did not cover the mark";
  EXPECT_FALSE(format::is_other_version(format::batch(1, "payload")));
}

TEST_F(LogTest, SpaceWrittenAheadIsNoDamageAndIsCutOff) {
  const std::string first = "/log/000000000001.log", second = "/log/000000000002.log";
  for (const bool torn : {false, true}) {
    FakeDisk crashed;
    std::string sound;
    {
      auto log = open(crashed);
      log->append(kA, run(1, 2, 1));
      ASSERT_TRUE(log->sync());
      sound = crashed.contents(first);
      log->append(kA, run(3, 40, 1));
      ASSERT_TRUE(log->sync());
    }
    // Torn: a sector in the middle of the last batch never reached the disk, what stands behind it did.
    std::string left = torn ? crashed.contents(first) : sound;
    if (torn) left.replace(512, 512, 512, '\0');
    crashed.set_contents(first, left + std::string(3000, '\0'));
    auto log = open(crashed);
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->last_index(kA), LogIndex{2});
    EXPECT_EQ(crashed.contents(first), sound);
    log->append(kA, run(3, 1, 2));
    ASSERT_TRUE(log->sync());
    EXPECT_TRUE(crashed.exists(second));
    // A segment that a later one follows may have kept its room: cutting it off at the end is a courtesy.
    crashed.set_contents(first, sound + std::string(3000, '\0'));
    log = open(crashed);
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->last_index(kA), LogIndex{3});
  }
}

TEST(JournalFile, ReadsAsWhatWasAppendedThenZerosUntilItIsClosed) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("journal" + std::to_string(os::secure_random().next()));
  std::string expected;
  {
    auto file = os::disk().open_journal(path).value();
    for (int i = 0; i < 300; ++i) {
      const std::string piece(10'000, static_cast<char>('a' + i % 26));
      ASSERT_TRUE(file->append(piece));
      ASSERT_TRUE(file->sync());
      expected += piece;
    }
    const std::string open = read_file(os::disk(), path).value();
    ASSERT_GT(open.size(), expected.size());
    EXPECT_EQ(open.substr(0, expected.size()), expected);
    EXPECT_EQ(open.find_first_not_of('\0', expected.size()), std::string::npos);
  }
  EXPECT_EQ(read_file(os::disk(), path).value(), expected);
  {
    auto file = os::disk().open_journal(path).value();
    ASSERT_TRUE(file->append("more"));
  }
  EXPECT_EQ(read_file(os::disk(), path).value(), expected + "more");
  ASSERT_TRUE(os::disk().remove(path));
}

TEST_F(LogTest, AnotherLeadersEntriesReplaceTheConflictingSuffix) {
  {
    auto log = open(disk);
    log->append(kA, run(1, 5, 1, "old"));
    ASSERT_TRUE(log->sync());
    log->append(kA, run(3, 1, 2, "new"));
    EXPECT_EQ(log->last_index(kA), LogIndex{3});
    ASSERT_TRUE(log->sync());
  }
  auto log = open(disk);
  EXPECT_EQ(log->last_index(kA), LogIndex{3});
  EXPECT_EQ(log->term(kA, LogIndex{3}).value(), Term{2});
  EXPECT_EQ(log->entries(kA, LogIndex{2}, LogIndex{4}, UINT64_MAX).value()[1].data, "new3");
}

TEST_F(LogTest, CompactionRemovesSegmentsAndSurvivesReopening) {
  LogOptions small;
  small.segment_bytes = 2000;
  small.cache_bytes_per_group = 100;
  {
    auto log = open(disk, small);
    log->append(kB, run(1, 1, 1));
    log->set_hard_state(kB, {Term{1}, NodeId{257}, LogIndex{1}});
    for (std::uint64_t i = 1; i <= 200; ++i) {
      log->append(kA, run(i, 1, 1));
      ASSERT_TRUE(log->sync());
    }
    const std::size_t before = disk.list("/log")->size();
    log->compact(kA, LogIndex{180});
    log->compact(kB, LogIndex{1});
    ASSERT_TRUE(log->sync());
    EXPECT_LT(disk.list("/log")->size(), before);
  }
  auto log = open(disk, small);
  EXPECT_EQ(log->first_index(kA), LogIndex{181});
  EXPECT_EQ(log->last_index(kA), LogIndex{200});
  EXPECT_EQ(log->term(kA, LogIndex{180}).value(), Term{1});
  EXPECT_EQ(log->entries(kA, LogIndex{181}, LogIndex{201}, UINT64_MAX)->size(), 20u) << "from disk, not from memory";
  EXPECT_EQ(log->hard_state(kB).term, Term{1});
  EXPECT_EQ(log->last_index(kB), LogIndex{1});
}

TEST_F(LogTest, ASnapshotBeginsTheLogAnew) {
  {
    auto log = open(disk);
    log->append(kA, run(1, 5, 1));
    ASSERT_TRUE(log->sync());
    log->set_snapshot(kA, LogIndex{100}, Term{7});
    log->append(kA, run(101, 2, 7));
    ASSERT_TRUE(log->sync());
  }
  auto log = open(disk);
  EXPECT_EQ(log->first_index(kA), LogIndex{101});
  EXPECT_EQ(log->last_index(kA), LogIndex{102});
  EXPECT_EQ(log->term(kA, LogIndex{100}).value(), Term{7});
}

TEST_F(LogTest, AfterAFailedSyncTheLogRefusesEverything) {
  auto log = open(disk);
  log->append(kA, run(1, 1, 1));
  disk.fail_next_sync();
  EXPECT_FALSE(log->sync());
  log->append(kA, run(2, 1, 1));
  EXPECT_FALSE(log->sync());
}

// A process that ends between a write and its sync, or on a failed sync, leaves in the kernel's memory what a next one
// can read and take for durable.
TEST_F(LogTest, WhatAStartHasReadIsDurableEvenIfItNeverWasSynced) {
  for (const bool sync_fails : {false, true}) {
    FakeDisk machine;
    {
      auto log = open(machine);
      log->append(kA, run(1, 1, 1));
      ASSERT_TRUE(log->sync());
      log->append(kA, run(2, 1, 1));
      if (sync_fails) {
        machine.fail_next_sync();
      } else {
        machine.power_off_after(2);  // the write is done, the sync is not
      }
      EXPECT_FALSE(log->sync());
    }
    machine.end_process();
    ASSERT_EQ(open(machine)->last_index(kA), LogIndex{2});
    CountingRandom random(7);
    machine.crash(random);
    EXPECT_EQ(open(machine)->last_index(kA), LogIndex{2}) << "sync fails: " << sync_fails;
  }
}

TEST_F(LogTest, RandomCrashesNeverLoseWhatWasSynced) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CountingRandom random(seed);
    FakeDisk crashing;
    LogOptions small;
    small.segment_bytes = 500;
    std::uint64_t synced = 0;
    std::uint64_t compacted = 0;
    for (int life = 0; life < 4; ++life) {
      auto log = open(crashing, small);
      ASSERT_NE(log, nullptr) << "seed " << seed;
      ASSERT_GE(log->last_index(kA).value, synced) << "seed " << seed;
      ASSERT_LE(log->first_index(kA).value, std::max(compacted, synced) + 1) << "seed " << seed;
      for (std::uint64_t i = log->first_index(kA).value; i <= synced; ++i) {
        const auto entry = log->entries(kA, LogIndex{i}, LogIndex{i + 1}, UINT64_MAX);
        ASSERT_TRUE(entry.has_value()) << "seed " << seed;
        ASSERT_EQ(entry->front().data, "entry" + std::to_string(i)) << "seed " << seed;
      }
      crashing.power_off_after(5 + random.below(60));
      std::uint64_t last = log->last_index(kA).value;
      for (;;) {
        const std::uint64_t count = 1 + random.below(3);
        log->append(kA, run(last + 1, count, 1));
        last += count;
        if (random.below(10) == 0 && synced > log->first_index(kA).value) {
          log->compact(kA, LogIndex{synced});
          compacted = synced;
        }
        if (!log->sync()) break;
        synced = last;
      }
      log.reset();
      crashing.crash(random);
    }
  }
}

}  // namespace
}  // namespace evercert::store
