// SPDX-License-Identifier: Apache-2.0
#include "node/reformation_file.h"

#include <gtest/gtest.h>

namespace evercert::node {
namespace {

ReformationFile example() {
  ReformationFile file;
  file.cluster_id = "0123456789abcdef";
  file.reformation.set_id("769+770");
  for (const std::uint64_t voter : {769u, 770u}) file.reformation.add_voters(voter);
  file.reformation.set_by("alice");
  file.reformation.set_at_ms(1'700'000'000'000);
  file.reformation.set_losses("what was acknowledged last");
  return file;
}

TEST(ReformationFile, IsReadAsItWasWritten) {
  const auto read = read_reformation("f.json", write_reformation(example()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->cluster_id, example().cluster_id);
  EXPECT_EQ(read->reformation.SerializeAsString(), example().reformation.SerializeAsString());
}

TEST(ReformationFile, WhatIsNoneIsRefusedWithItsPathTheMistakeAndTheWayOut) {
  const std::string good = write_reformation(example());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const auto& [text, word] : std::vector<std::pair<std::string, std::string>>{
           {"", "JSON"},
           {"[]", "JSON"},
           {with("\"by\"", "\"no\""), "'by'"},
           {with("\"alice\"", "7"), "'by'"},
           {with("769+770", ""), "'id'"},
           {with("30313233", "3031"), "'cluster'"},
           {with("30313233", "zz313233"), "'cluster'"},
           {with("769,", "-1,"), "voter"},
           {with("769,", "12,"), "node 12"},
           {with("769,", "99999999,"), "node 99999999"},
           {with("769,", "770,"), "ascending"},
           {with("1700000000000", "\"now\""), "'at_ms'"},
       }) {
    const auto read = read_reformation("f.json", text);
    ASSERT_FALSE(read) << text;
    EXPECT_TRUE(read.error().message.starts_with("f.json: ")) << read.error().message;
    EXPECT_NE(read.error().message.find(word), std::string::npos) << read.error().message;
    EXPECT_NE(read.error().message.find("evercert recover"), std::string::npos);
  }
}

}  // namespace
}  // namespace evercert::node
