// SPDX-License-Identifier: Apache-2.0
#include "ca/intents.h"

#include <gtest/gtest.h>

#include "base/fake_disk.h"
#include "testkit/fakes.h"

namespace evercert::ca {
namespace {

const std::string kPath = "/node/intents";

std::string serial(int i) { return std::string(15, '\1') + static_cast<char>(i); }

// What the file holds when `count` intents were written down.
std::string file_of(int count) {
  FakeDisk disk;
  testkit::ManualExecutor executor;
  auto intents = Intents::open(disk, kPath, executor).value();
  for (int i = 0; i < count; ++i) EXPECT_TRUE(testkit::finish(executor, intents->record(executor, serial(i))));
  return disk.contents(kPath);
}

Result<std::size_t> left_behind(const std::string& contents) {
  FakeDisk disk;
  disk.set_contents(kPath, contents);
  testkit::ManualExecutor executor;
  EC_ASSIGN(const auto intents, Intents::open(disk, kPath, executor));
  return intents->left_behind().size();
}

TEST(Intents, SpaceWrittenAheadOfTheEndIsNoDamage) {
  for (const std::size_t room : {1, 600, 5000})
    EXPECT_EQ(left_behind(file_of(3) + std::string(room, '\0')).value(), 3u);
}

TEST(Intents, ALostSectorEndsWhatWasAcknowledged) {
  std::string contents = file_of(40);
  contents.replace(512, 512, 512, '\0');  // what stands behind it was of the same write
  EXPECT_EQ(left_behind(contents).value(), 512 / (contents.size() / 40));
}

TEST(Intents, AZeroByteInTheMiddleIsDamage) {
  std::string contents = file_of(40);
  contents[700] = '\0';
  const auto opened = left_behind(contents);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace evercert::ca
