// SPDX-License-Identifier: Apache-2.0
#include "base/task_scope.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace evercert {
namespace {

// Runs what is posted when the test says so.
class Posted : public Executor {
 public:
  void post(std::move_only_function<void()> work) override { work_.push_back(std::move(work)); }
  void post_after(Duration, std::move_only_function<void()> work) override { post(std::move(work)); }
  void run() {
    for (auto& work : std::exchange(work_, {})) work();
  }
  std::size_t size() const { return work_.size(); }

 private:
  std::vector<std::move_only_function<void()>> work_;
};

struct Guard {
  explicit Guard(int& count) : destroyed(count) {}
  Guard(const Guard&) = delete;
  ~Guard() { ++destroyed; }
  int& destroyed;
};

class TaskScopeTest : public testing::Test {
 protected:
  // Ends with what `resolve_` is called with.
  Task<int> waiting() {
    const Guard guard(destroyed_);
    auto start = [this](auto resolve) { resolve_ = std::move(resolve); };
    auto answered = suspend_on<int>(*executor_, start);
    const int value = co_await answered;
    ++resumed_;
    co_return value;
  }
  Task<int> outer() { co_return 1 + co_await waiting(); }
  Task<void> beside(Started<int>& work) {
    const Guard guard(destroyed_);
    got_ = co_await work;
  }

  std::unique_ptr<Posted> executor_ = std::make_unique<Posted>();
  std::function<void(int)> resolve_;
  int destroyed_ = 0, resumed_ = 0, got_ = 0;
  std::unique_ptr<TaskScope> scope_ = std::make_unique<TaskScope>();
};

TEST_F(TaskScopeTest, ATaskThatEndsLeavesByItself) {
  scope_->spawn(outer(), [&](int value) { got_ = value; });
  EXPECT_EQ(scope_->running(), 1u);
  resolve_(41);
  executor_->run();
  EXPECT_EQ(got_, 42);
  EXPECT_EQ(scope_->running(), 0u);
  EXPECT_EQ(destroyed_, 1);
}

TEST_F(TaskScopeTest, WhatIsSuspendedIsDestroyedWithTheScopeAndALateAnswerDoesNothing) {
  for (int i = 0; i < 3; ++i) scope_->spawn(outer(), [&](int value) { got_ = value; });
  scope_.reset();
  EXPECT_EQ(destroyed_, 3);
  executor_.reset();
  resolve_(41);  // the executor is gone too
  EXPECT_EQ(resumed_, 0);
  EXPECT_EQ(got_, 0);
}

TEST_F(TaskScopeTest, ATaskDestroyedBetweenItsAnswerAndItsTurnIsNotResumed) {
  scope_->spawn(outer(), [&](int value) { got_ = value; });
  resolve_(41);
  ASSERT_EQ(executor_->size(), 1u);
  scope_->cancel();
  executor_->run();
  EXPECT_EQ(destroyed_, 1);
  EXPECT_EQ(resumed_, 0);
}

TEST_F(TaskScopeTest, AScopeThatWasCancelledTakesOthers) {
  scope_->spawn(waiting(), [](int) {});
  scope_->cancel();
  scope_->spawn(waiting(), [&](int value) { got_ = value; });
  resolve_(7);
  executor_->run();
  EXPECT_EQ(got_, 7);
}

TEST_F(TaskScopeTest, AStartedTaskGoesOnWithoutWhoAwaitedIt) {
  TaskScope awaiting;
  {
    Started<int> work(*scope_, waiting());
    awaiting.spawn(beside(work));
    awaiting.cancel();
  }
  EXPECT_EQ(destroyed_, 1) << "the awaiter";
  resolve_(3);
  executor_->run();
  EXPECT_EQ(resumed_, 1);
  EXPECT_EQ(got_, 0);
  EXPECT_EQ(scope_->running(), 0u);
}

TEST_F(TaskScopeTest, AStartedTaskIsAwaitedBeforeAndAfterItsEnd) {
  TaskScope awaiting;
  Started<int> work(*scope_, waiting());
  awaiting.spawn(beside(work));
  EXPECT_FALSE(work.done());
  resolve_(3);
  executor_->run();
  EXPECT_EQ(got_, 3);
  Started<int> done(*scope_, waiting());
  resolve_(4);
  executor_->run();
  EXPECT_TRUE(done.done());
  awaiting.spawn(beside(done));
  EXPECT_EQ(got_, 4);
}

}  // namespace
}  // namespace evercert
