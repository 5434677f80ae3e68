// SPDX-License-Identifier: Apache-2.0
#include "store/kv/recent_kv.h"

#include <gtest/gtest.h>

#include "base/os/system.h"
#include "store/kv/mem_kv.h"

namespace evercert::store {
namespace {

// Says how often it is asked, and refuses when told to.
class Counted : public MemKv {
 public:
  Result<std::optional<std::string>> get(const std::string& key) const override {
    ++reads;
    return MemKv::get(key);
  }
  Status write(const WriteBatch& batch) override {
    const Status written = MemKv::write(batch);
    if (refuses) return fail(Code::kIo, "no space");
    return written;
  }
  mutable int reads = 0;
  bool refuses = false;
};

WriteBatch put(const std::string& key, const std::string& value) {
  WriteBatch batch;
  batch.put(key, value);
  return batch;
}

TEST(RecentKv, ARecordIsReadOnceAndThenFollowsWhatIsWritten) {
  Counted below;
  RecentKv kv(below);
  EXPECT_EQ(kv.get("a").value(), std::nullopt);
  ASSERT_TRUE(kv.write(put("a", "1")));
  EXPECT_EQ(kv.get("a").value(), "1");
  WriteBatch gone;
  gone.remove("a");
  ASSERT_TRUE(kv.write(gone));
  EXPECT_EQ(kv.get("a").value(), std::nullopt);
  EXPECT_EQ(below.reads, 1);
}

TEST(RecentKv, ALongValueIsNotKept) {
  Counted below;
  RecentKv kv(below);
  EXPECT_EQ(kv.get("a").value(), std::nullopt);
  const std::string value(RecentKv::kLongestValue + 1, 'v');
  ASSERT_TRUE(kv.write(put("a", value)));
  EXPECT_EQ(kv.get("a").value(), value);
  EXPECT_EQ(kv.get("a").value(), value);
  EXPECT_EQ(below.reads, 3);
}

TEST(RecentKv, AfterAWriteThatFailedTheStateIsAskedAnew) {
  Counted below;
  RecentKv kv(below);
  EXPECT_EQ(kv.get("a").value(), std::nullopt);
  below.refuses = true;
  EXPECT_FALSE(kv.write(put("a", "may be there")));
  EXPECT_EQ(kv.get("a").value(), "may be there");
}

TEST(RecentKv, AnythingThatIsDoneReadsAsInTheStateBelow) {
  MemKv below;
  RecentKv kv(below);
  auto& random = os::secure_random();
  const auto key = [&] { return "g/" + std::to_string(random.next() % 9000); };  // more than there are slots
  for (int i = 0; i < 40'000; ++i) {
    const auto what = random.next() % 1000;
    WriteBatch batch;
    if (what < 600) {
      const std::string asked = key();
      ASSERT_EQ(kv.get(asked).value(), below.get(asked).value()) << asked;
      continue;
    }
    if (what < 998) {
      for (int n = 0; n < 3; ++n) {
        if (random.next() % 3 == 0) batch.remove(key());
        batch.put(key(), std::string(random.next() % 700, 'v'));
      }
    } else if (what == 998) {
      const std::string from = key();
      batch.remove_range(from, from + "~");
    } else {
      ASSERT_TRUE(kv.stage("r", put("g/5", "taken over")));
      ASSERT_TRUE(kv.seal("r"));
      ASSERT_TRUE(kv.take_over("r", "g/3", "g/6", put("z", "done")));
      continue;
    }
    ASSERT_TRUE(kv.write(batch));
  }
}

}  // namespace
}  // namespace evercert::store
