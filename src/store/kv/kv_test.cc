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
      auto opened = open_rocks_kv(dir_, {});
      ASSERT_TRUE(opened.has_value()) << opened.error().message;
      kv = std::move(*opened);
    } else {
      kv = std::make_unique<MemKv>();
    }
  }
  void TearDown() override {
    kv.reset();
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
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

 private:
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
