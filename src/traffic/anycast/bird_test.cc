// SPDX-License-Identifier: Apache-2.0
#include "traffic/anycast/bird.h"

#include <gtest/gtest.h>

namespace evercert::traffic::anycast {
namespace {

constexpr std::string_view kTable =
    "2002-Name       Proto      Table      State  Since         Info\n"
    "1002-device1    Device     ---        up     15:05:33.123  \n"
    " evercert_anycast Static     master4    down   15:05:33.123  \n"
    " upstream   BGP        ---        start  15:05:33.123  Active\n"
    "0000 \n";

TEST(BirdReader, AReplyIsWholeWithItsLastLineHoweverItCameInPieces) {
  for (std::size_t piece = 1; piece < kTable.size(); ++piece) {
    BirdReader reader;
    std::optional<BirdReply> whole;
    for (std::size_t at = 0; at < kTable.size(); at += piece) {
      ASSERT_FALSE(whole);
      auto reply = reader.add(kTable.substr(at, piece));
      ASSERT_TRUE(reply);
      whole = std::move(*reply);
    }
    ASSERT_TRUE(whole) << piece;
    EXPECT_EQ(whole->code, 0);
    EXPECT_EQ(whole->lines.size(), 5u);
  }
}

TEST(BirdReader, WhatIsNotBirdIsRefusedAndSoIsAReplyWithoutEnd) {
  for (const char* odd : {"HTTP/1.1 400 Bad Request\n", "\n", "12 x\n", "12345 x\n", "00a1 x\n"}) {
    BirdReader reader;
    EXPECT_EQ(reader.add(odd).error().code, Code::kInvalid) << odd;
  }
  BirdReader reader;
  EXPECT_EQ(reader.add(std::string(BirdReader::kMostBytes + 1, 'x')).error().code, Code::kInvalid);
}

TEST(BirdReader, NewsThatNobodyAskedForAreNoPartOfAReply) {
  BirdReader reader;
  const auto reply = reader.add("+upstream: state changed\n0011 evercert_anycast: enabled\n");
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((*reply)->code, 11);
  EXPECT_EQ((*reply)->lines, (std::vector<std::string>{"evercert_anycast: enabled"}));
}

TEST(Bird, AProtocolsStateIsReadFromTheTableByItsWholeName) {
  BirdReader reader;
  const BirdReply reply = **reader.add(kTable);
  EXPECT_EQ(protocol_up(reply, "device1"), true);
  EXPECT_EQ(protocol_up(reply, "evercert_anycast"), false);
  EXPECT_EQ(protocol_up(reply, "upstream"), false) << "a session that is being opened announces nothing";
  EXPECT_EQ(protocol_up(reply, "evercert"), std::nullopt);
}

TEST(Bird, NothingButASymbolGoesIntoACommand) {
  EXPECT_TRUE(is_symbol("evercert_anycast4"));
  for (const char* odd : {"", "4up", "a b", "a;b", "all\"", "a\ndown"}) EXPECT_FALSE(is_symbol(odd)) << odd;
}

TEST(Bird, OneThatIsNotThereIsUnavailable) {
  Bird bird("/nonexistent/bird.ctl", "x", 100ms);
  EXPECT_EQ(bird.up().error().code, Code::kUnavailable);
  EXPECT_EQ(Bird(std::string(200, 'x'), "x", 100ms).set(true).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace evercert::traffic::anycast
