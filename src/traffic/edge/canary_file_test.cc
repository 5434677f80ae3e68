// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/canary_file.h"

#include <gtest/gtest.h>

#include "base/fake_disk.h"

namespace evercert::traffic {
namespace {

class Hands : public MonotonicClock {
 public:
  Instant now() const override { return {1'000'000'000}; }
};

class CanaryFileTest : public ::testing::Test {
 protected:
  CanaryFileTest() {
    for (const bool canary : {false, true}) {
      const std::string name = canary ? "10.0.0.2" : "10.0.0.1";
      EXPECT_TRUE(backends_.add({{name, 9445, true, name}, RegionId{1}, canary}, false));
    }
  }
  // A process that begins with what the cluster file says.
  struct Process {
    Process(CanaryFileTest& test, double percent)
        : releases(test.backends_, test.clock_),
          file(test.disk_, "edge-1-canary.json", canary_beginning(test.backends_, percent)) {
      EXPECT_TRUE(releases.begin(percent));
      resumed = file.resume(releases);
    }
    Releases releases;
    CanaryFile file;
    Status resumed;
  };
  Hands clock_;
  Backends backends_{{}, clock_, 7};
  FakeDisk disk_;
};

TEST_F(CanaryFileTest, WhatWasRolledBackStaysSoInTheNextProcess) {
  {
    Process first(*this, 5);
    ASSERT_TRUE(first.resumed);
    EXPECT_TRUE(first.file.keep(first.releases));
    EXPECT_FALSE(disk_.exists("edge-1-canary.json")) << "nothing but what the cluster file says";
    first.releases.stay_back("errors: 9 %");
    ASSERT_TRUE(first.file.keep(first.releases));
  }
  Process second(*this, 5);
  ASSERT_TRUE(second.resumed);
  EXPECT_TRUE(second.releases.state().rolled_back);
  EXPECT_EQ(second.releases.state().why, "errors: 9 %");
  EXPECT_EQ(second.releases.state().percent, 0);
}

TEST_F(CanaryFileTest, AShareThatAPersonHasSetIsGoneOnWith) {
  {
    Process first(*this, 5);
    first.releases.stay_back("errors");
    ASSERT_TRUE(first.file.keep(first.releases));
    ASSERT_TRUE(first.releases.begin(12.5));
    ASSERT_TRUE(first.file.keep(first.releases));
  }
  Process second(*this, 5);
  EXPECT_FALSE(second.releases.state().rolled_back);
  EXPECT_EQ(second.releases.state().percent, 12.5);
}

TEST_F(CanaryFileTest, AnotherClusterFileIsANewBeginning) {
  {
    Process first(*this, 5);
    first.releases.stay_back("errors");
    ASSERT_TRUE(first.file.keep(first.releases));
  }
  Process second(*this, 6);
  EXPECT_TRUE(second.resumed);
  EXPECT_FALSE(second.releases.state().rolled_back);
  EXPECT_EQ(second.releases.state().percent, 6);
}

TEST_F(CanaryFileTest, ADamagedFileIsToldAndChangesNothing) {
  const std::string beginning = canary_beginning(backends_, 5);
  const std::string of_ours = R"({"beginning": ")" + beginning + R"(", "rolled_back": false, "why": "", "percent": )";
  for (const std::string& damaged :
       {std::string(), std::string("{"), std::string("[]"), std::string("{\"percent\": 3}"), of_ours + "\"x\"}",
        of_ours + "101}", of_ours + "-1}", of_ours + "1e999}"}) {
    ASSERT_TRUE(write_file_durably(disk_, "edge-1-canary.json", damaged));
    Process process(*this, 5);
    EXPECT_FALSE(process.resumed) << damaged;
    EXPECT_EQ(process.releases.state().percent, 5) << damaged;
  }
}

}  // namespace
}  // namespace evercert::traffic
