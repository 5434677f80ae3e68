// SPDX-License-Identifier: Apache-2.0
#include "node/data_identity.h"

#include <gtest/gtest.h>

#include "base/fake_disk.h"

namespace evercert::node {
namespace {

const std::string kDir = "/data", kFile = "/etc/evercert/cluster.yaml";

DataIdentity identity() {
  return {kDataFormat,
          std::string(15, '\x01') + "\xab",
          "prod",
          node_id(RegionId{2}, 1),
          {{RegionId{1}, "us-east-1"}, {RegionId{2}, "us-west-2"}, {RegionId{3}, "eu-central-1"}}};
}

std::string refusal(const DataIdentity& then, const DataIdentity& now) {
  const Status checked = check_identity(then, now, kDir, kFile);
  return checked ? "accepted" : checked.error().message;
}

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const auto& word : words) EXPECT_NE(message.find(word), std::string::npos) << word << " is not in: " << message;
}

class DataIdentityTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(disk.make_dirs(kDir)); }
  std::string stored() {
    const auto text = read_file(disk, kDir + "/identity");
    return text ? *text : "";
  }
  FakeDisk disk;
};

TEST_F(DataIdentityTest, TheSameNodeOfTheSameClusterGoesOn) {
  ASSERT_TRUE(claim_folder(disk, kDir, identity(), kFile));
  EXPECT_EQ(load_identity(disk, kDir).value(), identity());
  EXPECT_TRUE(claim_folder(disk, kDir, identity(), kFile));
}

TEST_F(DataIdentityTest, AnotherClustersFileIsRefusedWithBothIdsAndTheWayOut) {
  auto other = identity();
  other.cluster_id[0] = '\x02';
  expect_words(refusal(identity(), other), {kDir, kFile, "010101010101010101010101010101ab",
                                            "020101010101010101010101010101ab", "--cluster", "--data"});
}

TEST_F(DataIdentityTest, AnotherNodesFolderIsRefusedAndItsOwnerNamed) {
  auto other = identity();
  other.node = node_id(RegionId{3}, 2);
  expect_words(refusal(identity(), other),
               {kDir, "the data of region 'us-west-2', zone 1", "not of region 'eu-central-1', zone 2", "--data"});
}

TEST_F(DataIdentityTest, AnOlderFileWithoutARegionIsRefused) {
  auto older = identity();
  older.regions.erase(RegionId{3});
  expect_words(refusal(identity(), older), {kFile, "does not name region 'eu-central-1'", "number 3", "newest"});
}

TEST_F(DataIdentityTest, RegionsInAnotherOrderAreRefusedAndTheRightOrderTold) {
  auto other = identity();
  std::swap(other.regions[RegionId{1}], other.regions[RegionId{3}]);
  expect_words(refusal(identity(), other), {kFile, "'eu-central-1' as region number 1", "that is 'us-east-1'",
                                            "us-east-1, us-west-2, eu-central-1"});
}

TEST_F(DataIdentityTest, AFileWithMoreRegionsIsTakenAndRemembered) {
  ASSERT_TRUE(claim_folder(disk, kDir, identity(), kFile));
  auto grown = identity();
  grown.regions[RegionId{4}] = "ap-southeast-2";
  ASSERT_TRUE(claim_folder(disk, kDir, grown, kFile));
  expect_words(refusal(load_identity(disk, kDir).value().value(), identity()), {"'ap-southeast-2'"});
}

TEST_F(DataIdentityTest, ARefusedFolderIsLeftAsItWas) {
  ASSERT_TRUE(claim_folder(disk, kDir, identity(), kFile));
  const std::string before = stored();
  auto other = identity();
  other.cluster_id[0] = '\x02';
  EXPECT_FALSE(claim_folder(disk, kDir, other, kFile));
  EXPECT_EQ(stored(), before);
}

TEST_F(DataIdentityTest, AnOlderFormatsFolderIsTakenAndIsOfThisOneFromThenOn) {
  auto then = identity();
  then.format = 1;
  ASSERT_TRUE(write_file_durably(disk, kDir + "/identity", write_identity(then)));
  ASSERT_TRUE(claim_folder(disk, kDir, identity(), kFile));
  EXPECT_EQ(load_identity(disk, kDir).value(), identity());
  EXPECT_TRUE(stored().starts_with("format " + std::to_string(kDataFormat)));
}

TEST_F(DataIdentityTest, ANewerVersionsFolderIsRefusedWhateverElseItSays) {
  ASSERT_TRUE(write_file_durably(disk, kDir + "/identity", "format 3\nshape of the future\n"));
  const Status refused = claim_folder(disk, kDir, identity(), kFile);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  expect_words(refused.error().message,
               {kDir + "/identity", "newer version", "format 3", "up to 2", "Nothing was changed"});
  EXPECT_EQ(stored(), "format 3\nshape of the future\n");
}

TEST_F(DataIdentityTest, DamageIsToldAndNotOverwritten) {
  for (const std::string text :
       {"", "node 513\n", "format one\n", "format 1\ncluster ab prod\n", "format 1\nnode 513\n", "format 1\nnode 5x\n",
        "format 1\nregion 1\n", "format 1\nmoon 1\n"}) {
    ASSERT_TRUE(write_file_durably(disk, kDir + "/identity", text));
    const Status refused = claim_folder(disk, kDir, identity(), kFile);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, Code::kCorrupt) << text;
    EXPECT_EQ(stored(), text);
  }
}

TEST(AddedRegions, AFileHasThemInTheirPlacesOrIsRefusedAndOneThatLacksThemIsOnlyOld) {
  config::ClusterConfig config;
  config.path = kFile;
  for (const char* name : {"us-east-1", "us-west-2", "eu-central-1"}) config.regions.emplace_back().name = name;
  store::v1::Membership record;
  EXPECT_TRUE(check_regions(config, record));
  record.add_foundings()->set_region(4);
  record.mutable_foundings(0)->set_name("ap-south-1");
  EXPECT_TRUE(check_regions(config, record)) << "an old file";
  config.regions.emplace_back().name = "ap-south-1";
  EXPECT_TRUE(check_regions(config, record));
  config.regions.back().name = "sa-east-1";
  const Status refused = check_regions(config, record);
  ASSERT_FALSE(refused);
  expect_words(refused.error().message, {kFile, "'sa-east-1'", "number 4", "'ap-south-1'", "only appended"});
}

}  // namespace
}  // namespace evercert::node
