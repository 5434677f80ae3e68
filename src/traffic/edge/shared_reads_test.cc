// SPDX-License-Identifier: Apache-2.0
// Equal reads through an edge at the same time.
#include "traffic/edge/shared_reads.h"

#include "traffic/edge/forwarder_test_world.h"

namespace evercert::traffic {
namespace {

TEST_F(ForwarderTest, NobodyIsGivenAListThatWasReadBeforeHeAsked) {
  begin(1);
  link_.nodes[0].delay = 800ms;
  SharedReads reads;
  std::vector<Instant> answered_at;
  const auto get = [&] {
    scope_.spawn(reads.get(request("GET", "/crl/east.crl"), *forwarder_, counters_),
                 [&](const HttpResponse&) { answered_at.push_back(loop_.now()); });
  };
  get();
  loop_.run_for(500ms);
  const Instant second = loop_.now();
  for (int i = 0; i < 3; ++i) get();
  loop_.run_for(5s);
  ASSERT_EQ(link_.asked.size(), 2u);
  EXPECT_GE(link_.asked[1].at, second) << "it may know of a newer one by another edge";
  EXPECT_EQ(answered_at.size(), 4u);
  EXPECT_EQ(counters_.coalesced, 2u);
}

TEST_F(ForwarderTest, AListInPiecesIsHeldOnceForThoseWhoWaitForItAndNotForOne) {
  begin(1);
  link_.nodes[0].pieces = 5;
  SharedReads reads;
  std::vector<HttpResponse> got;
  const auto get = [&] {
    scope_.spawn(reads.get(request("GET", "/crl/east.crl"), *forwarder_, counters_),
                 [&](HttpResponse response) { got.push_back(std::move(response)); });
  };
  get();
  loop_.run_for(1s);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_TRUE(got[0].source);
  for (int i = 0; i < 4; ++i) get();
  loop_.run_for(1s);
  ASSERT_EQ(got.size(), 5u);
  EXPECT_EQ(link_.asked.size(), 3u) << "three came when one was on its way";
  EXPECT_TRUE(got[1].source);
  for (std::size_t i = 2; i < 5; ++i) {
    EXPECT_FALSE(got[i].source);
    EXPECT_EQ(got[i].bytes().size(), 50u);
    EXPECT_EQ(got[i].shared_body, got[2].shared_body) << "one copy";
  }
  link_.nodes[0].breaks = true;  // and so of a length that nobody has said
  for (int i = 0; i < 3; ++i) get();
  loop_.run_for(1s);
  ASSERT_EQ(got.size(), 8u);
  EXPECT_EQ(link_.asked.size(), 6u) << "what may be too large to hold is asked for by each";
  for (std::size_t i = 5; i < 8; ++i) EXPECT_TRUE(got[i].source);
}

TEST_F(ForwarderTest, EqualListsAreAskedForOnce) {
  begin(2);
  SharedReads reads;
  std::vector<std::string> got;
  const auto get = [&](HttpRequest what) {
    ASSERT_TRUE(SharedReads::shareable(what));
    scope_.spawn(reads.get(std::move(what), *forwarder_, counters_),
                 [&](HttpResponse response) { got.push_back(response.bytes()); });
  };
  for (int i = 0; i < 5; ++i) get(request("GET", "/crl/east.crl"));
  get(request("GET", "/crl/west.crl"));
  loop_.run_for(1s);
  EXPECT_EQ(got, std::vector<std::string>(6, "answer"));
  EXPECT_EQ(link_.asked.size(), 3u) << "of the five four came when one was on its way";
  get(request("GET", "/crl/east.crl"));
  loop_.run_for(1s);
  EXPECT_EQ(link_.asked.size(), 4u) << "nothing is kept";
  auto conditional = request("GET", "/crl/east.crl");
  conditional.headers.add("If-None-Match", "\"a\"");
  EXPECT_FALSE(SharedReads::shareable(conditional));
  EXPECT_FALSE(SharedReads::shareable(request("GET", "/v1/certificates")));
  EXPECT_FALSE(SharedReads::shareable(request("HEAD", "/crl/east.crl")));
}

}  // namespace
}  // namespace evercert::traffic
