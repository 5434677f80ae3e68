// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/releases.h"

#include <gtest/gtest.h>

#include "traffic/edge/admin.h"

namespace evercert::traffic {
namespace {

class Hands : public MonotonicClock {
 public:
  Instant now() const override { return now_; }
  Instant now_{1'000'000'000};
};

class ReleasesTest : public ::testing::Test {
 protected:
  void add(bool canary, bool remote = false) {
    const auto name = "10.0.0." + std::to_string(backends_.size() + 1);
    ASSERT_TRUE(backends_.add({{name, 9445, true, name}, RegionId{1}, canary}, remote));
  }
  static net::HttpRequest from(int client, std::string_view wish = {}) {
    net::HttpRequest request;
    request.peer_address = "192.0.2." + std::to_string(client);
    if (!wish.empty()) request.headers.add(kCanaryWish, wish);
    return request;
  }
  net::HttpResponse post(std::string path, std::string query, Releases& releases, std::string method = "POST") {
    net::HttpRequest request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.query = std::move(query);
    auto answer = admin_change(request, backends_, releases, nullptr);
    return answer ? std::move(*answer) : net::problem(404, "", "");
  }
  Hands clock_;
  Backends backends_{{}, clock_, 7};
};

TEST_F(ReleasesTest, AClientStaysWithItsReleaseAndAShareGetsTheNewOne) {
  for (const bool canary : {false, true, false}) add(canary);
  add(false, true);
  Releases releases(backends_, clock_);
  ASSERT_TRUE(releases.begin(30));
  int canaries = 0;
  for (int client = 0; client < 250; ++client) {
    const auto avoid = releases.avoid(from(client));
    EXPECT_EQ(releases.avoid(from(client)), avoid);
    EXPECT_FALSE(avoid[3]) << "another region's edge is of no release";
    canaries += avoid[0] ? 1 : 0;
    EXPECT_NE(avoid[0], avoid[1]);
    EXPECT_EQ(avoid[0], avoid[2]);
  }
  EXPECT_NEAR(canaries, 75, 30);
  EXPECT_TRUE(releases.avoid(from(1, "always"))[0]);
  EXPECT_TRUE(releases.avoid(from(1, "never"))[1]);
}

TEST_F(ReleasesTest, WithTheOtherReleaseGoneAnyWillDo) {
  add(false);
  add(true);
  Releases releases(backends_, clock_);
  ASSERT_TRUE(releases.begin(100));
  const auto asked = [&] {
    Backends::Tried tried;
    const auto attempt = backends_.begin(tried, {.avoid = releases.avoid(from(1))});
    backends_.finished(*attempt, Outcome::kDeclined);
    return attempt->endpoint;
  };
  for (int i = 0; i < 20; ++i) EXPECT_EQ(asked(), 1u);
  backends_.unreachable(1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(asked(), 0u);
}

TEST_F(ReleasesTest, ANewReleaseThatFailsIsRolledBackAndRefusalsAreNoFailures) {
  add(false);
  add(true);
  Releases releases(backends_, clock_);
  ASSERT_TRUE(releases.begin(50));
  const auto calls = [&](Outcome of_canary) {
    for (int i = 0; i < 2000; ++i) {
      clock_.now_ = clock_.now_ + 5ms;
      for (const std::size_t at : {0u, 1u})
        releases.finished({at, Criticality::kIssuance, 0, clock_.now_ - 1ms},
                          at == 1 && i % 5 == 0 ? of_canary : Outcome::kAnswered);
    }
  };
  for (const auto harmless : {Outcome::kBusy, Outcome::kDeclined, Outcome::kDropped}) calls(harmless);
  EXPECT_FALSE(releases.state().rolled_back);
  calls(Outcome::kFailed);
  EXPECT_TRUE(releases.state().rolled_back);
  EXPECT_NE(releases.state().why.find("errors"), std::string::npos);
  EXPECT_GE(releases.state().of_new, 2000U) << "a person sees how many answers that rests on";
  EXPECT_EQ(releases.state().of_old, 4U * 2000);
  for (int client = 0; client < 50; ++client) EXPECT_TRUE(releases.avoid(from(client, "always"))[1]);
  EXPECT_EQ(post("/edge/canary", "percent=2.5", releases).status, 200);
  EXPECT_FALSE(releases.state().rolled_back);
  EXPECT_EQ(releases.state().percent, 2.5);
  EXPECT_EQ(releases.state().of_new + releases.state().of_old, 0U);
}

TEST_F(ReleasesTest, WithOneReleaseAloneThereIsNothingToShareOut) {
  add(false);
  Releases old(backends_, clock_);
  EXPECT_TRUE(old.avoid(from(1, "always")).none());
  EXPECT_NE(old.begin(5).error().message.find("edge.canary.zones"), std::string::npos);
  EXPECT_TRUE(old.begin(0));
  Backends all_new({}, clock_, 8);
  ASSERT_TRUE(all_new.add({{"a", 1, true, "a"}, RegionId{1}, true}, false));
  Releases whole(all_new, clock_);
  EXPECT_TRUE(whole.avoid(from(1, "never")).none());
  EXPECT_FALSE(whole.begin(5));
}

TEST_F(ReleasesTest, AnOperatorsMistakesAreToldWithWhatWouldBeRight) {
  add(false);
  add(true);
  Releases releases(backends_, clock_);
  for (const char* wrong : {"", "percent=", "percent=x", "percent=1e", "percent=nan", "percent=inf",
                            "percent=5&percent=6", "share=5", "percent=101", "percent=-0.1"})
    EXPECT_EQ(post("/edge/canary", wrong, releases).status, 400) << wrong;
  const auto unknown = post("/edge/drain", "endpoint=10.9.9.9:1", releases);
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.body.find("10.0.0.1:9445, 10.0.0.2:9445"), std::string::npos) << unknown.body;
  const auto read = post("/edge/drain", "endpoint=10.0.0.1:9445", releases, "GET");
  EXPECT_EQ(read.status, 405);
  EXPECT_EQ(read.headers.get("Allow"), "POST");
  EXPECT_FALSE(backends_.drained(0, Backends::Drained::kByOperator)) << "a GET changes nothing";
  EXPECT_EQ(post("/edge/drain", "endpoint=10.0.0.1:9445", releases).status, 200);
  EXPECT_TRUE(backends_.drained(0, Backends::Drained::kByOperator));
  EXPECT_EQ(post("/edge/undrain", "endpoint=10.0.0.1:9445", releases).status, 200);
  EXPECT_FALSE(backends_.drained(0, Backends::Drained::kByOperator));
}

}  // namespace
}  // namespace evercert::traffic
