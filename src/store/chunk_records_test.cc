// SPDX-License-Identifier: Apache-2.0
#include "store/chunk_records.h"

#include <gtest/gtest.h>

#include <random>

#include "base/encoding.h"

namespace evercert::store {
namespace {

v1::KeyValues alike(int count) {
  v1::KeyValues records;
  for (int i = 0; i < count; ++i) {
    auto* item = records.add_items();
    item->set_key("key " + std::to_string(1000 + i));
    item->set_value(std::string(800, 'v'));
  }
  return records;
}

v1::KeyValues noise(std::size_t bytes) {
  std::mt19937 random(1);
  v1::KeyValues records;
  auto* item = records.add_items();
  item->set_key("key");
  std::string value(bytes, '\0');
  for (char& c : value) c = static_cast<char>(random());
  item->set_value(std::move(value));
  return records;
}

bool comes_back(const v1::KeyValues& records, const v1::SnapshotChunk& chunk) {
  v1::KeyValues back;
  return unpack_records(chunk, back) && back.SerializeAsString() == records.SerializeAsString();
}

v1::SnapshotChunk packed(const v1::KeyValues& records) {
  v1::SnapshotChunk chunk;
  pack_records(records, chunk);
  return chunk;
}

TEST(ChunkRecordsTest, WhatIsAlikeTravelsAsLess) {
  const auto records = alike(300);
  const auto chunk = packed(records);
  EXPECT_LT(chunk.records().size(), records.ByteSizeLong() / 4);
  EXPECT_TRUE(comes_back(records, chunk));
}

TEST(ChunkRecordsTest, WhatDoesNotShrinkTravelsAsItIs) {
  for (const auto& records : {noise(200'000), noise(1), v1::KeyValues{}}) {
    const auto chunk = packed(records);
    EXPECT_EQ(chunk.plain_bytes(), 0u);
    EXPECT_TRUE(chunk.records() == records.SerializeAsString());
    EXPECT_TRUE(comes_back(records, chunk));
  }
}

TEST(ChunkRecordsTest, BytesThatAreNotWhatTheyAreSaidToBeAreRefused) {
  const auto chunk = packed(alike(300));
  v1::KeyValues back;
  const auto refused = [&](auto lie) {
    v1::SnapshotChunk other = chunk;
    lie(other);
    other.set_crc32c(crc32c(other.records()));
    return !unpack_records(other, back);
  };
  EXPECT_TRUE(refused([](auto& c) { c.set_plain_bytes(c.plain_bytes() - 1); }));
  EXPECT_TRUE(refused([](auto& c) { c.set_plain_bytes(c.plain_bytes() + 1); }));
  EXPECT_TRUE(refused([](auto& c) { c.set_plain_bytes(0xffffffff); }));
  EXPECT_TRUE(refused([](auto& c) { c.clear_plain_bytes(); }));
  EXPECT_TRUE(refused([](auto& c) { c.mutable_records()->pop_back(); }));
  EXPECT_TRUE(refused([](auto& c) { c.mutable_records()->clear(); }));
  EXPECT_TRUE(refused([](auto& c) { c.mutable_records()->assign(kMostChunkBytes + 1, '\0'); }));
  v1::SnapshotChunk damaged = chunk;
  damaged.mutable_records()->at(100) ^= 1;  // its checksum says so
  EXPECT_FALSE(unpack_records(damaged, back));
}

}  // namespace
}  // namespace evercert::store
