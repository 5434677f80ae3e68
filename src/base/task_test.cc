// SPDX-License-Identifier: Apache-2.0
#include "base/task.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "base/os/system.h"

namespace evercert {
namespace {

Task<int> answer() { co_return 42; }
Task<int> doubled() { co_return 2 * co_await answer(); }

TEST(Task, RunsToItsEndOnTheCallersThreadWhenNothingSuspends) {
  int got = 0;
  spawn(doubled(), [&](int v) { got = v; });
  EXPECT_EQ(got, 84);
}

TEST(Task, ComesBackOnTheExecutorAfterAnAnswerFromAnotherThread) {
  auto executor = os::ThreadExecutor::start("test");
  std::promise<std::thread::id> executor_thread;
  executor->post([&] { executor_thread.set_value(std::this_thread::get_id()); });
  const auto expected = executor_thread.get_future().get();
  std::promise<std::pair<int, std::thread::id>> done;
  auto task = [](Executor& on) -> Task<int> {
    auto start = [](auto resolve) { std::thread([resolve]() mutable { resolve(7); }).detach(); };
    auto answered = suspend_on<int>(on, start);
    co_return co_await answered;
  };
  spawn(task(*executor), [&](int v) { done.set_value({v, std::this_thread::get_id()}); });
  const auto [value, thread] = done.get_future().get();
  EXPECT_EQ(value, 7);
  EXPECT_EQ(thread, expected);
}

TEST(ThreadExecutor, RunsTimersAfterTheirDelayAndInOrder) {
  auto executor = os::ThreadExecutor::start("test");
  std::promise<std::vector<int>> done;
  auto order = std::make_shared<std::vector<int>>();
  executor->post_after(20ms, [&, order] {
    order->push_back(2);
    done.set_value(*order);
  });
  executor->post_after(5ms, [order] { order->push_back(1); });
  EXPECT_EQ(done.get_future().get(), (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace evercert
