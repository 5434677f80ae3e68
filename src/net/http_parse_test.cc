// SPDX-License-Identifier: Apache-2.0
#include "net/http_parse.h"

#include <gtest/gtest.h>

namespace evercert::net {
namespace {

const std::string kPost = "POST /a/b?c=d&e HTTP/1.1\r\nHost: example\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello";

// Feeds as a connection does: what was not used is given again, with more behind it.
bool feed_in_pieces(RequestParser& parser, const std::string& bytes, std::size_t piece) {
  std::string kept;
  for (std::size_t at = 0; at < bytes.size() && !parser.done() && !parser.failed(); at += piece) {
    kept += bytes.substr(at, piece);
    kept.erase(0, parser.feed(kept));
  }
  return parser.done() && kept.empty();
}

void expect_post(const HttpRequest& request) {
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/a/b?c=d&e");
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.query, "c=d&e");
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(request.headers.all().size(), 3u);
  EXPECT_EQ(request.headers.get("x-a"), "1");
}

TEST(RequestParser, HowTheBytesAreCutMakesNoDifference) {
  for (std::size_t piece = 1; piece <= kPost.size(); ++piece) {
    RequestParser parser({});
    ASSERT_TRUE(feed_in_pieces(parser, kPost, piece)) << piece;
    expect_post(parser.take());
  }
}

TEST(RequestParser, StopsAtTheEndOfARequestAndTakesTheNext) {
  RequestParser parser({});
  std::string bytes = kPost + kPost + "GET / HT";
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(parser.feed(bytes), kPost.size());
    ASSERT_TRUE(parser.done());
    expect_post(parser.take());
    parser.next();
    bytes.erase(0, kPost.size());
  }
  parser.feed(bytes);
  EXPECT_FALSE(parser.done());
  EXPECT_FALSE(parser.failed());
}

TEST(RequestParser, TheLimitOfTheHeaderHoldsForAllOfItTogether) {
  const std::string fields = [] {
    std::string all;
    for (int i = 0; i < 30; ++i) all += "X-Field: 0123456789\r\n";
    return all;
  }();
  const std::string request = "GET / HTTP/1.1\r\n" + fields + "\r\n";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100}, request.size()}) {
    RequestParser roomy({.body = 10, .header = static_cast<std::uint32_t>(request.size() + 4)});
    EXPECT_TRUE(feed_in_pieces(roomy, request, piece)) << piece;
    RequestParser tight({.body = 10, .header = 400});
    EXPECT_FALSE(feed_in_pieces(tight, request, piece)) << piece;
    EXPECT_EQ(tight.refusal().status, 431) << piece;
  }
}

TEST(RequestParser, AHeaderWithoutEndIsRefusedAsSoonAsItIsTooLarge) {
  for (const std::size_t piece : {1, 50, 300, 390, 1000}) {
    RequestParser parser({.body = 10, .header = 400});
    std::string endless = "GET / HTTP/1.1\r\n";
    while (endless.size() < 430) endless += "X-Field: 0123456789\r\n";
    feed_in_pieces(parser, endless, piece);
    ASSERT_TRUE(parser.failed()) << piece;
    EXPECT_EQ(parser.refusal().status, 431);
  }
}

TEST(RequestParser, ABodyAtItsLimitIsTakenAndOneBeyondIsNot) {
  RequestParser parser({.body = 5, .header = 1000});
  EXPECT_TRUE(feed_in_pieces(parser, kPost, 3));
  RequestParser tight({.body = 4, .header = 1000});
  EXPECT_FALSE(feed_in_pieces(tight, kPost, 3));
  EXPECT_EQ(tight.refusal().status, 413);
}

TEST(RequestParser, AChunksLineCannotGrowForEver) {
  for (const std::size_t piece : {1000, 100000}) {
    RequestParser parser({});
    EXPECT_FALSE(feed_in_pieces(
        parser, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;" + std::string(100000, 'x'), piece));
    EXPECT_TRUE(parser.failed());
    RequestParser trailers({});
    EXPECT_FALSE(feed_in_pieces(
        trailers, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(100000, 'x'), piece));
    EXPECT_TRUE(trailers.failed());
  }
}

TEST(RequestParser, ALengthThatWasOnlyAnnouncedClaimsLittleMemory) {
  RequestParser parser({.body = 1 << 30, .header = 1000});
  parser.feed("POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nx");
  EXPECT_FALSE(parser.failed());
  EXPECT_LT(parser.take().body.capacity(), 100000u);
}

TEST(Headers, NamesCompareWithoutCaseAndWithoutMixingUpSigns) {
  Headers headers;
  headers.add("Content-Type", "a");
  headers.add("x^y", "b");
  EXPECT_EQ(headers.find("CONTENT-tYPE"), "a");
  EXPECT_EQ(headers.find("content_type"), std::nullopt);
  EXPECT_EQ(headers.find("x~y"), std::nullopt);
  EXPECT_EQ(headers.find("content-typ"), std::nullopt);
}

TEST(Headers, AValueOfItsOwnMayBeSetUnderAnotherName) {
  Headers headers;
  headers.add("A", "a value long enough to lie in the block");
  for (int i = 0; i < 50; ++i) headers.set("B" + std::to_string(i), *headers.find("A"));
  EXPECT_EQ(headers.get("B49"), "a value long enough to lie in the block");
  headers.set("a", "new");
  EXPECT_EQ(headers.get("A"), "new");
  EXPECT_EQ(headers.all().size(), 51u);
  headers.remove("B7");
  EXPECT_FALSE(headers.find("b7"));
}

}  // namespace
}  // namespace evercert::net
