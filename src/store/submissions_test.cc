// SPDX-License-Identifier: Apache-2.0
#include "store/submissions.h"

#include <gtest/gtest.h>

#include <optional>

namespace evercert::store {
namespace {

constexpr GroupId kGroup{2};
constexpr Duration kSilence = 1200ms, kPause = 25ms;
constexpr Instant kNow{5'000'000};

class SubmissionsTest : public testing::Test {
 protected:
  void add(Instant deadline = kNow + 10s) {
    submissions.add(kGroup, "command", deadline, [this](Result<v1::Outcome> r) {
      ++answers;
      result = std::move(r);
    });
  }
  // The one attempt that is due.
  std::uint64_t attempt(Instant now) {
    auto due = submissions.due(now);
    EXPECT_EQ(due.size(), 1u);
    return due.empty() ? 0 : due.front().request;
  }
  void expect_error(Code code) {
    ASSERT_EQ(answers, 1);
    ASSERT_FALSE(result->has_value());
    EXPECT_EQ(result->error().code, code);
    EXPECT_EQ(submissions.size(), 0u);
  }
  Submissions submissions{kSilence, kPause, 0x123456789abcdefull};
  int answers = 0;
  std::optional<Result<v1::Outcome>> result;
};

TEST_F(SubmissionsTest, ACommandIsTriedOnceAndItsAnswerGivenOnce) {
  add();
  const auto due = submissions.due(kNow);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].group, kGroup);
  EXPECT_EQ(due[0].command, "command");
  EXPECT_TRUE(submissions.due(kNow + kSilence - 1us).empty());
  v1::Outcome outcome;
  outcome.set_number(7);
  submissions.answered(due[0].request, outcome, kNow);
  submissions.answered(due[0].request, outcome, kNow);
  ASSERT_EQ(answers, 1);
  EXPECT_EQ((*result)->number(), 7u);
}

TEST_F(SubmissionsTest, SilenceIsFollowedByAnotherAttemptAndAnAnswerToEitherCounts) {
  add();
  const auto first = attempt(kNow);
  const auto second = attempt(kNow + kSilence);
  EXPECT_NE(first, second);
  submissions.answered(first, v1::Outcome{}, kNow + kSilence + 1ms);
  EXPECT_EQ(answers, 1) << "commands are idempotent: what was done is done";
}

TEST_F(SubmissionsTest, ARefusalIsFollowedByAnotherAttemptAfterAPause) {
  add();
  submissions.refused(attempt(kNow), kNow);
  EXPECT_TRUE(submissions.due(kNow + kPause - 1us).empty());
  EXPECT_EQ(submissions.due(kNow + kPause).size(), 1u);
}

TEST_F(SubmissionsTest, ARefusalOfAnAttemptThatWasGivenUpDoesNotStopThePresentOne) {
  add();
  const auto first = attempt(kNow);
  attempt(kNow + kSilence);
  submissions.answered(first, fail(Code::kUnavailable, ""), kNow + kSilence + 1ms);
  EXPECT_TRUE(submissions.due(kNow + kSilence + kPause + 1ms).empty());
}

TEST_F(SubmissionsTest, AnotherLeaderIsTriedAtOnce) {
  add();
  attempt(kNow);
  submissions.leader_changed(GroupId{1}, Instant{0});
  EXPECT_TRUE(submissions.due(kNow + 1ms).empty()) << "of another group";
  submissions.leader_changed(kGroup, Instant{0});
  EXPECT_EQ(submissions.due(kNow + 1ms).size(), 1u);
}

TEST_F(SubmissionsTest, NothingWasDoneIsSaidOnlyWhenEveryAttemptWasRefused) {
  add(kNow + 1s);
  submissions.refused(attempt(kNow), kNow);
  submissions.answered(attempt(kNow + 100ms), fail(Code::kUnavailable, "not the leader"), kNow + 200ms);
  submissions.expire(kNow + 1s);
  expect_error(Code::kUnavailable);
}

TEST_F(SubmissionsTest, ACommandThatWasNeverTriedWasNotDone) {
  add(kNow + 1s);
  submissions.expire(kNow + 1s - 1us);
  EXPECT_EQ(answers, 0);
  submissions.expire(kNow + 1s);
  expect_error(Code::kUnavailable);
}

TEST_F(SubmissionsTest, AnAttemptUnderWayAtTheDeadlineMayHaveHappened) {
  add(kNow + 1s);
  attempt(kNow);
  submissions.expire(kNow + 1s);
  expect_error(Code::kUnknownOutcome);
}

TEST_F(SubmissionsTest, AnAttemptThatEndedInSilenceMayHaveHappenedWhateverFollows) {
  add(kNow + 5s);
  attempt(kNow);
  submissions.refused(attempt(kNow + kSilence), kNow + kSilence);
  submissions.expire(kNow + 5s);
  expect_error(Code::kUnknownOutcome);
}

TEST_F(SubmissionsTest, ALostLeadershipMayHaveHappenedWhateverFollows) {
  add(kNow + 5s);
  submissions.answered(attempt(kNow), fail(Code::kUnknownOutcome, "leadership was lost"), kNow);
  submissions.refused(attempt(kNow + kPause), kNow + kPause);
  submissions.expire(kNow + 5s);
  expect_error(Code::kUnknownOutcome);
}

// Compare-and-set: the first attempt may have been carried out, and somebody may have changed the record since.
TEST_F(SubmissionsTest, AConflictOfARepeatedCommandMayBeWithItself) {
  v1::Outcome conflict;
  conflict.set_code(1 + static_cast<std::uint32_t>(Code::kConflict));
  add();
  attempt(kNow);
  submissions.answered(attempt(kNow + kSilence), conflict, kNow + kSilence);
  expect_error(Code::kUnknownOutcome);
}

TEST_F(SubmissionsTest, AConflictOfACommandThatSurelyDidNothingBeforeIsPassedOn) {
  v1::Outcome conflict;
  conflict.set_code(1 + static_cast<std::uint32_t>(Code::kConflict));
  add();
  submissions.answered(attempt(kNow), fail(Code::kUnavailable, "not the leader"), kNow);
  submissions.answered(attempt(kNow + kPause), conflict, kNow + kPause);
  ASSERT_EQ(answers, 1);
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->code(), conflict.code());
}

TEST_F(SubmissionsTest, NoAttemptIsMadeAtOrAfterTheDeadline) {
  add(kNow);
  EXPECT_TRUE(submissions.due(kNow).empty());
}

TEST_F(SubmissionsTest, AnswersToAnotherLifesRequestsFitNone) {
  add();
  attempt(kNow);
  Submissions other(kSilence, kPause, 0xfedcba9876543210ull);
  other.add(kGroup, "", kNow + 1s, [](Result<v1::Outcome>) {});
  submissions.answered(other.due(kNow).front().request, v1::Outcome{}, kNow);
  EXPECT_EQ(answers, 0);
}

TEST_F(SubmissionsTest, WithoutAMajorityOnlyWhatSurelyDidNotHappenIsRefusedAtOnce) {
  add();
  const auto refused = attempt(kNow);
  submissions.no_quorum(kGroup);
  EXPECT_EQ(answers, 0) << "it may be on its way";
  submissions.refused(refused, kNow);
  submissions.no_quorum(GroupId{1});
  EXPECT_EQ(answers, 0) << "another group's";
  submissions.no_quorum(kGroup);
  expect_error(Code::kUnavailable);
}

TEST_F(SubmissionsTest, WithoutAMajorityWhatMayHaveHappenedWaitsForItsDeadline) {
  add();
  submissions.answered(attempt(kNow), fail(Code::kUnknownOutcome, "lost the leadership"), kNow);
  submissions.no_quorum(kGroup);
  EXPECT_EQ(answers, 0);
  submissions.expire(kNow + 10s);
  expect_error(Code::kUnknownOutcome);
}

}  // namespace
}  // namespace evercert::store
