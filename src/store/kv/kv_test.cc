// SPDX-License-Identifier: Apache-2.0
#include "store/kv/kv.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/os/system.h"
#include "store/kv/mem_kv.h"
#include "store/kv/rocks_kv.h"

namespace evercert::store {
namespace {

class KvTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      dir_ = std::filesystem::temp_directory_path() / ("kv_test" + std::to_string(os::secure_random().next()));
      open();
    } else {
      kv = std::make_unique<MemKv>();
    }
  }
  void TearDown() override {
    kv.reset();
    if (dir_.empty()) return;
    for (const char* what : {"", ".staged", ".kept"}) std::filesystem::remove_all(dir_ + what);
  }
  void open() {
    RocksOptions options;
    options.run_file_bytes = 1000;  // several files to a run
    auto opened = open_rocks_kv(dir_, options);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    kv = std::move(*opened);
  }
  void put(const std::string& key, const std::string& value) {
    WriteBatch batch;
    batch.put(key, value);
    ASSERT_TRUE(kv->write(batch));
  }
  // g/000 to g/099, 100 bytes each, in ten calls.
  void stage_hundred(const std::string& run = "r") {
    for (int i = 0; i < 100; i += 10) {
      WriteBatch batch;
      for (int k = i; k < i + 10; ++k) batch.put("g/" + std::to_string(1000 + k).substr(1), std::string(100, 'n'));
      ASSERT_TRUE(kv->stage(run, batch));
    }
  }
  static WriteBatch done() {
    WriteBatch batch;
    batch.put("z", "done");
    return batch;
  }
  std::size_t count(const std::string& from, const std::string& to) {
    std::size_t found = 0;
    EXPECT_TRUE(kv->scan(from, to, SIZE_MAX, [&](std::string_view, std::string_view) {
      ++found;
      return true;
    }));
    return found;
  }
  std::string keys(const std::string& from, const std::string& to, std::size_t limit = SIZE_MAX) {
    std::string all;
    EXPECT_TRUE(kv->scan(from, to, limit, [&](std::string_view key, std::string_view) {
      all += std::string(key) + " ";
      return true;
    }));
    return all;
  }
  std::unique_ptr<Kv> kv;

 protected:
  std::string dir_;
};

TEST_P(KvTest, ABatchIsAppliedInOrderAndWhole) {
  WriteBatch batch;
  batch.put("a", "1");
  batch.put("b", "1");
  batch.put("c", "1");
  batch.remove("a");
  batch.remove_range("b", "c");
  batch.put("b", "2");
  ASSERT_TRUE(kv->write(batch));
  EXPECT_EQ(kv->get("a").value(), std::nullopt);
  EXPECT_EQ(kv->get("b").value(), "2");
  EXPECT_EQ(kv->get("c").value(), "1");
}

TEST_P(KvTest, ScansAreOrderedBoundedAndLimited) {
  WriteBatch batch;
  for (const char* key : {"b", "a", "d", "c"}) batch.put(key, "");
  ASSERT_TRUE(kv->write(batch));
  EXPECT_EQ(keys("a", "d"), "a b c ");
  EXPECT_EQ(keys("b", "z", 2), "b c ");
}

TEST_P(KvTest, ASnapshotDoesNotSeeLaterWrites) {
  WriteBatch batch;
  batch.put("a", "old");
  ASSERT_TRUE(kv->write(batch));
  const auto snapshot = kv->snapshot();
  WriteBatch later;
  later.put("a", "new");
  ASSERT_TRUE(kv->write(later));
  std::string seen;
  ASSERT_TRUE(snapshot->scan("a", "b", 1, [&](std::string_view, std::string_view value) {
    seen = value;
    return true;
  }));
  EXPECT_EQ(seen, "old");
}

TEST_P(KvTest, ARunTakesThePlaceOfItsRangeAndOfNothingElse) {
  put("f", "stays");
  put("g/050", "old");
  put("g/old", "goes");
  put("h", "stays");
  stage_hundred();
  EXPECT_EQ(keys("a", "z"), "f g/050 g/old h ") << "no part of the state yet";
  EXPECT_EQ(kv->get("g/050").value(), "old");
  ASSERT_TRUE(kv->seal("r"));
  ASSERT_TRUE(kv->take_over("r", "g/", "g0", done()));
  EXPECT_EQ(count("g/", "g0"), 100u);
  EXPECT_EQ(kv->get("g/050").value(), std::string(100, 'n'));
  EXPECT_EQ(kv->get("g/old").value(), std::nullopt);
  EXPECT_EQ(kv->get("f").value(), "stays");
  EXPECT_EQ(kv->get("h").value(), "stays");
  EXPECT_EQ(kv->get("z").value(), "done");
  EXPECT_EQ(count("\xfe", "\xff"), 0u);
  put("g/050", "written later");
  EXPECT_EQ(kv->get("g/050").value(), "written later");
}

TEST_P(KvTest, AnEmptyRunEmptiesItsRange) {
  put("g/old", "goes");
  ASSERT_TRUE(kv->seal("r"));
  ASSERT_TRUE(kv->take_over("r", "g/", "g0", done()));
  EXPECT_EQ(count("g/", "g0"), 0u);
}

TEST_P(KvTest, WhatWasDroppedIsNoPartOfTheNextRun) {
  stage_hundred();
  ASSERT_TRUE(kv->drop_staged("r"));
  WriteBatch batch;
  batch.put("g/001", "the only one");
  ASSERT_TRUE(kv->stage("r", batch));
  ASSERT_TRUE(kv->seal("r"));
  ASSERT_TRUE(kv->take_over("r", "g/", "g0", done()));
  EXPECT_EQ(keys("g/", "g0"), "g/001 ");
}

TEST_P(KvTest, ARunThatWasNotSealedIsNeverTakenOver) {
  put("g/old", "stays");
  stage_hundred();
  const Status refused = kv->take_over("r", "g/", "g0", done());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
}

TEST_P(KvTest, TwoRunsDoNotMix) {
  stage_hundred("r");
  WriteBatch other;
  other.put("k/1", "of the other");
  ASSERT_TRUE(kv->stage("s", other));
  ASSERT_TRUE(kv->seal("s"));
  ASSERT_TRUE(kv->take_over("s", "k/", "k0", done()));
  EXPECT_EQ(count("g/", "g0"), 0u);
  ASSERT_TRUE(kv->seal("r"));
  ASSERT_TRUE(kv->take_over("r", "g/", "g0", done()));
  EXPECT_EQ(count("g/", "g0"), 100u);
  EXPECT_EQ(count("k/", "k0"), 1u);
}

// What a crash between the last step and the removal of the files leaves, and what one before it leaves.
TEST_P(KvTest, ARunCanBeTakenOverAgainAfterARestart) {
  if (!GetParam()) GTEST_SKIP() << "the state in memory: snapshots_test.cc";
  put("g/old", "goes");
  stage_hundred();
  ASSERT_TRUE(kv->seal("r"));
  std::filesystem::copy(dir_ + ".staged", dir_ + ".kept", std::filesystem::copy_options::recursive);
  kv.reset();
  open();
  for (int times = 0; times < 3; ++times) {
    ASSERT_TRUE(kv->take_over("r", "g/", "g0", done()));
    EXPECT_EQ(count("g/", "g0"), 100u);
    kv.reset();
    std::filesystem::remove_all(dir_ + ".staged");
    std::filesystem::copy(dir_ + ".kept", dir_ + ".staged", std::filesystem::copy_options::recursive);
    open();
    EXPECT_EQ(count("g/", "g0"), 100u) << "durable";
    EXPECT_EQ(kv->get("g/old").value(), std::nullopt);
    EXPECT_EQ(kv->get("z").value(), "done");
  }
}

INSTANTIATE_TEST_SUITE_P(BothEngines, KvTest, testing::Values(false, true),
                         [](const auto& p) { return p.param ? "RocksDB" : "Memory"; });

TEST(MemKv, ACrashGoesBackToABorderBetweenBatchesButNotBeforeTheLastFlush) {
  for (int i = 0; i < 50; ++i) {
    MemKv kv;
    const auto put = [&](const char* a, const char* b) {
      WriteBatch batch;
      batch.put("a", a);
      batch.put("b", b);
      ASSERT_TRUE(kv.write(batch));
    };
    put("1", "1");
    ASSERT_TRUE(kv.flush());
    put("2", "2");
    put("3", "3");
    kv.crash(os::secure_random());
    EXPECT_EQ(kv.get("a").value(), kv.get("b").value());
    EXPECT_TRUE(kv.get("a").value().has_value());
  }
}

}  // namespace
}  // namespace evercert::store
