// SPDX-License-Identifier: Apache-2.0
// gRPC's completion queue as an Executor: calls, and the coroutines that answer them, run on its one thread.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/env.h"
#include "net/server_calls.h"

namespace evercert::net {

// What comes up on the queue.
class Completion {
 public:
  virtual ~Completion() = default;
  virtual void happened(bool ok) = 0;
};

class GrpcQueue : public Executor {
 public:
  explicit GrpcQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue);
  ~GrpcQueue() override;

  grpc::ServerCompletionQueue* get() { return queue_.get(); }
  ServerCalls& calls() { return calls_; }
  void start();
  // After the server was shut down and its last call has gone: no operation may be begun on the queue any more. Drops
  // timers, works off what is left and ends the thread. Nothing posted later is run.
  void stop();

  void post(std::move_only_function<void()> work) override;
  void post_after(Duration delay, std::move_only_function<void()> work) override;

 private:
  class Posted;
  class Delayed;
  void run();
  void run_posted();

  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<std::move_only_function<void()>> waiting_;
  std::set<Delayed*> delayed_;
  bool scheduled_ = false, stopped_ = false;
  std::unique_ptr<Posted> posted_;
  ServerCalls calls_{*this};
};

}  // namespace evercert::net
