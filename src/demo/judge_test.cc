// SPDX-License-Identifier: Apache-2.0
#include "demo/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/encoding.h"
#include "demo/history_file.h"

namespace evercert::demo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kSerial(16, 'a');

class JudgeTest : public testing::Test {
 protected:
  JudgeTest() {
    for (const char* name : {"us-east-1", "us-west-2", "eu-central-1"}) {
      config.regions.emplace_back();
      config.regions.back().name = name;
    }
  }
  // One operation after another unless `begun` says otherwise.
  Operation& add(Kind kind, std::string output, bool ok = true) {
    Operation operation;
    operation.kind = kind;
    operation.begun = Instant{clock += 1000};
    operation.ended = Instant{clock += 1000};
    operation.ok = ok;
    operation.record = kind == Kind::kCrl ? "us-east-1" : kSerial;
    operation.output = std::move(output);
    operation.answered_by = "us-east-1";
    history.push_back(std::move(operation));
    return history.back();
  }
  Judged judged(const std::string& at_end) {
    StoreAtEnd store{"store of us-east-1-1", {}};
    if (!at_end.empty()) store.certificates[kSerial] = at_end;
    return judge(config, history, {store}, Instant{clock + 1000});
  }

  config::ClusterConfig config;
  std::vector<Operation> history;
  std::int64_t clock = 0;
};

TEST_F(JudgeTest, WhatHappenedInOrderIsAccepted) {
  add(Kind::kIssue, "issued");
  add(Kind::kOcsp, "good");
  add(Kind::kRevoke, "revoked");
  add(Kind::kGet, "revoked");
  const Judged result = judged("revoked");
  EXPECT_THAT(result.violations, IsEmpty());
  EXPECT_EQ(result.certificates, 1u);
  EXPECT_EQ(result.regions[0].operations, 4u);
}

TEST_F(JudgeTest, AnAcknowledgedCertificateThatAStoreLacksIsFound) {
  add(Kind::kIssue, "issued");
  EXPECT_THAT(judged("").violations, ElementsAre(HasSubstr("not linearizable")));
}

TEST_F(JudgeTest, ARevocationThatTurnsGoodIsFound) {
  add(Kind::kIssue, "issued");
  add(Kind::kRevoke, "revoked");
  add(Kind::kOcsp, "good");
  EXPECT_THAT(judged("revoked").violations, ElementsAre(HasSubstr("good")));
}

TEST_F(JudgeTest, AnAnswerThatSaysItMayBeStaleMayBe) {
  add(Kind::kIssue, "issued");
  add(Kind::kRevoke, "revoked");
  add(Kind::kOcsp, "stale good");
  const Judged result = judged("revoked");
  EXPECT_THAT(result.violations, IsEmpty());
  EXPECT_EQ(result.stale, 1u);
}

TEST_F(JudgeTest, ARevocationOfUnknownOutcomeMayHaveHappenedOrNot) {
  add(Kind::kIssue, "issued");
  add(Kind::kRevoke, "", false);
  add(Kind::kOcsp, "good");
  EXPECT_THAT(judged("good").violations, IsEmpty());
  EXPECT_THAT(judged("revoked").violations, IsEmpty());
  EXPECT_EQ(judged("good").unknown_outcomes, 1u);
}

TEST_F(JudgeTest, ARefusedRevocationThatHappenedAllTheSameIsFound) {
  add(Kind::kIssue, "issued");
  add(Kind::kRevoke, "refused", false);
  EXPECT_THAT(judged("good").violations, IsEmpty());
  EXPECT_THAT(judged("revoked").violations, ElementsAre(HasSubstr("revoked")));
}

TEST_F(JudgeTest, ASerialGivenTwiceIsFound) {
  add(Kind::kIssue, "issued");
  add(Kind::kAcme, "issued");
  EXPECT_THAT(judged("good").violations, ElementsAre(HasSubstr("not linearizable")));
}

TEST_F(JudgeTest, OneNumberOfACrlIsOneCrl) {
  add(Kind::kCrl, "7 aa");
  add(Kind::kCrl, "7 bb");
  EXPECT_THAT(judged("").violations, ElementsAre("CRL 7 of us-east-1 exists with two contents"));
}

TEST_F(JudgeTest, ARegionNeverGoesBackToAnOlderCrl) {
  add(Kind::kCrl, "7 aa");
  add(Kind::kCrl, "6 bb").answered_by = "us-west-2";
  EXPECT_THAT(judged("").violations, IsEmpty()) << "another region may lag";
  add(Kind::kCrl, "6 bb");
  EXPECT_THAT(judged("").violations, ElementsAre("CRL 6 of us-east-1 was given by us-east-1 after number 7"));
}

TEST_F(JudgeTest, CrlsReadAtTheSameTimeHaveNoOrder) {
  const Instant begun = add(Kind::kCrl, "7 aa").begun;
  add(Kind::kCrl, "6 bb").begun = begun;
  EXPECT_THAT(judged("").violations, IsEmpty());
}

TEST_F(JudgeTest, FailuresAndTheLongestTimeWithoutAWriteAreCountedByRegion) {
  add(Kind::kIssue, "issued");
  clock += 500'000;
  add(Kind::kRevoke, "revoked");
  add(Kind::kGet, "", false);
  add(Kind::kOcsp, "refused", false);
  const Judged result = judged("revoked");
  EXPECT_NEAR(result.regions[0].longest_write_gap_ms, 502, 0.1);
  EXPECT_NEAR(result.regions[0].last_write_before_end_ms, 4, 0.1);
  EXPECT_EQ(result.regions[0].failed, 2u);
  EXPECT_EQ(result.regions[0].reads_failed, 1u);
  EXPECT_EQ(result.regions[1].operations, 0u);
}

TEST_F(JudgeTest, AHistoryFileHoldsWhatWasWritten) {
  add(Kind::kIssue, "issued").region = 2;
  add(Kind::kCrl, "7 aa", false);
  const std::string path = testing::TempDir() + "/history_file_test.jsonl";
  ASSERT_TRUE(write_history(path, config, history));
  const auto read = read_history(path, config);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].record, kSerial);
  EXPECT_EQ((*read)[0].region, 2);
  EXPECT_EQ((*read)[0].begun, history[0].begun);
  EXPECT_EQ((*read)[1].record, "us-east-1");
  EXPECT_EQ((*read)[1].output, "7 aa");
  EXPECT_FALSE((*read)[1].ok);
  std::filesystem::remove(path);
}

TEST_F(JudgeTest, AWrongLineOfAHistoryFileIsNamed) {
  const std::string path = testing::TempDir() + "/history_file_test.jsonl";
  ASSERT_TRUE(write_history(path, config, {add(Kind::kIssue, "issued")}));
  for (const char* line : {"{", "{}", R"({"kind":"steal"})", R"({"kind":"issue","client":"mars"})"}) {
    std::ofstream(path, std::ios::app) << line << "\n";
    const auto read = read_history(path, config);
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr(":2: "));
    ASSERT_TRUE(write_history(path, config, history));
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace evercert::demo
