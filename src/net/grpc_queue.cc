// SPDX-License-Identifier: Apache-2.0
#include "net/grpc_queue.h"

#include <pthread.h>

namespace evercert::net {

// One wake-up for all that was posted meanwhile.
class GrpcQueue::Posted : public Completion {
 public:
  explicit Posted(GrpcQueue& queue) : queue_(queue) {}
  void schedule() { alarm_.Set(queue_.queue_.get(), gpr_time_0(GPR_CLOCK_MONOTONIC), this); }
  void happened(bool) override { queue_.run_posted(); }

 private:
  GrpcQueue& queue_;
  grpc::Alarm alarm_;
};

// Made and cancelled under the queue's mutex.
class GrpcQueue::Delayed : public Completion {
 public:
  Delayed(GrpcQueue& queue, Duration delay, std::move_only_function<void()> work)
      : queue_(queue), work_(std::move(work)) {
    queue_.delayed_.insert(this);
    alarm_.Set(queue.queue_.get(),
               gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(delay.count(), GPR_TIMESPAN)), this);
  }
  void cancel() { alarm_.Cancel(); }
  void happened(bool ok) override {
    auto work = std::move(work_);
    {
      std::lock_guard lock(queue_.mutex_);
      queue_.delayed_.erase(this);
      ok = ok && !queue_.stopped_;
    }
    delete this;
    if (ok) work();
  }

 private:
  GrpcQueue& queue_;
  std::move_only_function<void()> work_;
  grpc::Alarm alarm_;
};

GrpcQueue::GrpcQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : queue_(std::move(queue)), posted_(std::make_unique<Posted>(*this)) {}

GrpcQueue::~GrpcQueue() { stop(); }

void GrpcQueue::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "grpc");
    run();
  });
}

void GrpcQueue::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    // The queue ends with its last operation: it would wait for the last timer.
    for (Delayed* delayed : delayed_) delayed->cancel();
    queue_->Shutdown();
  }
  if (thread_.joinable()) {
    thread_.join();
  } else {
    run();
  }
}

void GrpcQueue::post(std::move_only_function<void()> work) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  waiting_.push_back(std::move(work));
  if (!std::exchange(scheduled_, true)) posted_->schedule();
}

void GrpcQueue::post_after(Duration delay, std::move_only_function<void()> work) {
  std::lock_guard lock(mutex_);
  if (!stopped_) new Delayed(*this, delay, std::move(work));
}

void GrpcQueue::run() {
  void* tag = nullptr;
  for (bool ok = false; queue_->Next(&tag, &ok);) static_cast<Completion*>(tag)->happened(ok);
}

void GrpcQueue::run_posted() {
  std::vector<std::move_only_function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    scheduled_ = false;
    work.swap(waiting_);
    if (stopped_) return;
  }
  for (auto& one : work) one();
}

}  // namespace evercert::net
