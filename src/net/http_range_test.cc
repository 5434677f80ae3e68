// SPDX-License-Identifier: Apache-2.0
#include "net/http_range.h"

#include <gtest/gtest.h>

namespace evercert::net {
namespace {

// Status, body and Content-Range of a part of ten digits.
std::string part(std::string_view range, std::string_view if_range = {}, std::string body = "0123456789") {
  HttpResponse response;
  response.headers.set("ETag", "\"7\"");
  response.shared_body = std::make_shared<const std::string>(std::move(body));
  take_range(response, range, if_range);
  const std::string shown = response.status == 416 ? "" : response.bytes();
  return std::to_string(response.status) + " " + shown + " " + response.headers.get("Content-Range");
}

TEST(HttpRangeTest, APartIsWhatWasAskedFor) {
  EXPECT_EQ(part("bytes=0-0"), "206 0 bytes 0-0/10");
  EXPECT_EQ(part("bytes=3-5"), "206 345 bytes 3-5/10");
  EXPECT_EQ(part("bytes=7-"), "206 789 bytes 7-9/10");
  EXPECT_EQ(part("bytes=7-100"), "206 789 bytes 7-9/10");
  EXPECT_EQ(part("bytes=-2"), "206 89 bytes 8-9/10");
  EXPECT_EQ(part("bytes=-100"), "206 0123456789 bytes 0-9/10");
  EXPECT_EQ(part("bytes=18446744073709551615-"), "416  bytes */10");
}

TEST(HttpRangeTest, WhatIsNotThereIsSaid) {
  EXPECT_EQ(part("bytes=10-"), "416  bytes */10");
  EXPECT_EQ(part("bytes=-0"), "416  bytes */10");
  EXPECT_EQ(part("bytes=0-", {}, ""), "416  bytes */0");
}

TEST(HttpRangeTest, WhatIsNotUnderstoodIsTheWhole) {
  for (const char* range : {"", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "bytes=1-2,4-5", "items=1-2",
                            "bytes=1", "bytes= 1-2", "bytes=-1-2", "bytes=99999999999999999999-"})
    EXPECT_EQ(part(range), "200 0123456789 ") << range;
}

TEST(HttpRangeTest, APartOfAnotherVersionIsTheWhole) {
  EXPECT_EQ(part("bytes=3-5", "\"7\""), "206 345 bytes 3-5/10");
  EXPECT_EQ(part("bytes=3-5", "\"8\""), "200 0123456789 ");
  EXPECT_EQ(part("bytes=3-5", "Tue, 15 Nov 1994 12:45:26 GMT"), "200 0123456789 ");
}

TEST(HttpRangeTest, WithoutAnETagOrAfterAnErrorNothingChanges) {
  HttpResponse bare;
  bare.body = "0123";
  take_range(bare, "bytes=0-1", {});
  EXPECT_EQ(bare.status, 200);
  HttpResponse missing = problem(404, "Not Found", "");
  missing.headers.set("ETag", "\"7\"");
  take_range(missing, "bytes=0-1", {});
  EXPECT_EQ(missing.status, 404);
}

}  // namespace
}  // namespace evercert::net
