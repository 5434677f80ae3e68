// SPDX-License-Identifier: Apache-2.0
#include "base/os/system.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/log.h"

namespace evercert::os {
namespace {

std::int64_t read_clock_us(clockid_t id) {
  timespec t{};
  EC_CHECK(clock_gettime(id, &t) == 0, "the clock can be read");
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000 + t.tv_nsec / 1000;
}

class BootClock : public MonotonicClock {
  Instant now() const override { return {read_clock_us(CLOCK_BOOTTIME)}; }
};

class RealTimeClock : public WallClock {
  WallTime now() const override { return {read_clock_us(CLOCK_REALTIME) / 1000}; }
};

class OpenSslRandom : public Random {
  void fill(std::span<std::uint8_t> out) override {
    EC_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1, "the random generator is seeded");
  }
};

void name_thread(const char* name) { pthread_setname_np(pthread_self(), std::string(name).substr(0, 15).c_str()); }

class ThreadExecutorImpl : public ThreadExecutor {
 public:
  explicit ThreadExecutorImpl(const char* name)
      : thread_([this, name = std::string(name)] {
          name_thread(name.c_str());
          run();
        }) {}

  ~ThreadExecutorImpl() override { ThreadExecutorImpl::stop(); }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  void post(std::move_only_function<void()> work) override {
    {
      std::lock_guard lock(mutex_);
      ready_.push_back(std::move(work));
    }
    wake_.notify_one();
  }

  void post_after(Duration delay, std::move_only_function<void()> work) override {
    {
      std::lock_guard lock(mutex_);
      timers_.emplace(monotonic_clock().now() + delay, std::move(work));
    }
    wake_.notify_one();
  }

 private:
  void run() {
    std::deque<std::move_only_function<void()>> batch;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        while (!stopping_ && ready_.empty()) {
          const Instant now = monotonic_clock().now();
          while (!timers_.empty() && timers_.begin()->first <= now) {
            ready_.push_back(std::move(timers_.begin()->second));
            timers_.erase(timers_.begin());
          }
          if (!ready_.empty()) break;
          if (timers_.empty()) {
            wake_.wait(lock);
          } else {
            wake_.wait_for(lock, timers_.begin()->first - now);
          }
        }
        if (stopping_) return;
        const Instant now = monotonic_clock().now();
        while (!timers_.empty() && timers_.begin()->first <= now) {
          ready_.push_back(std::move(timers_.begin()->second));
          timers_.erase(timers_.begin());
        }
        batch.swap(ready_);
      }
      for (auto& work : batch) work();
      batch.clear();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> ready_;
  std::multimap<Instant, std::move_only_function<void()>> timers_;
  bool stopping_ = false;
  std::thread thread_;
};

class WorkerPoolImpl : public WorkerPool {
 public:
  WorkerPoolImpl(const char* name, int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, name = std::string(name)] {
        name_thread(name.c_str());
        run();
      });
    }
  }

  ~WorkerPoolImpl() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void post(std::move_only_function<void()> work) override {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(work));
    }
    wake_.notify_one();
  }

 private:
  void run() {
    for (;;) {
      std::move_only_function<void()> work;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (stopping_) return;
        work = std::move(queue_.front());
        queue_.pop_front();
      }
      work();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

void run_in_batches() {
  cpu_set_t own;
  if (sched_getaffinity(0, sizeof own, &own) != 0 || CPU_COUNT(&own) != 1) return;
  const sched_param none{};
  if (sched_setscheduler(0, SCHED_BATCH, &none) != 0)
    log_warning("the scheduling class cannot be chosen here: " + std::string(std::strerror(errno)));
}
MonotonicClock& monotonic_clock() {
  static BootClock clock;
  return clock;
}
WallClock& wall_clock() {
  static RealTimeClock clock;
  return clock;
}
Random& secure_random() {
  static OpenSslRandom random;
  return random;
}
std::unique_ptr<ThreadExecutor> ThreadExecutor::start(const char* thread_name) {
  return std::make_unique<ThreadExecutorImpl>(thread_name);
}
std::unique_ptr<WorkerPool> WorkerPool::start(const char* thread_name, int threads) {
  return std::make_unique<WorkerPoolImpl>(thread_name, threads);
}

}  // namespace evercert::os
