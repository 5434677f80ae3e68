// SPDX-License-Identifier: Apache-2.0
// The queue of a node at work, on one Executor: takes in what is to wait, makes it durable before anybody is told so,
// carries it out when there is a majority again, and says what it did. Any thread may call it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/task_scope.h"
#include "degraded/queue.h"
#include "degraded/queue_disk.h"

namespace evercert::degraded {

struct DeskOptions {
  NodeId self;
  QueueLimits limits;
  Duration look = 200ms;  // how often it looks whether something can be done
};

// Which node keeps what is queued under an id. kInvalid: no such id was ever made.
Result<NodeId> keeper_of(const std::string& id);

class Desk {
 public:
  // Carries an operation out; the serial number. Errors as CertificateAuthority gives them: they say whether it may
  // have happened. A repetition with the same `repeat` is answered as the first time.
  using Perform = std::function<Task<Result<std::string>>(Executor& on, v1::Operation operation)>;

  // A damaged queue does not keep a node from serving: it takes nothing in then, says why, and is told of everywhere.
  // `executor` does the disk's work and must have stopped before the desk goes.
  static std::unique_ptr<Desk> open(DeskOptions options, Disk& disk, const std::string& dir, Executor& executor,
                                    MonotonicClock& clock, WallClock& wall, Random& random);

  // Told on the executor: an operation is queued (before its asker knows; also those of an earlier life, at the
  // start), or has ended.
  struct Watcher {
    std::function<void(const v1::Operation&)> queued, ended;
  };
  // Begins to carry out. `allowed`: whether it makes sense to try now.
  void start(Perform perform, std::function<bool()> allowed, Watcher watcher);

  // Durable on this node's disk when it returns. kConflict; kUnavailable: full, or the queue is out of order: nothing
  // was done; kUnknownOutcome: the disk refused in the middle.
  Task<Result<Queue::Accepted>> offer(Executor& on, v1::Operation wanted, std::string why);
  // What is told of was durable before. kNotFound; kUnavailable: the queue is out of order.
  Task<Result<v1::Operation>> find(Executor& on, std::string id);
  Task<Result<std::vector<v1::Operation>>> waiting(Executor& on, std::size_t limit);
  Task<Result<std::vector<v1::Reconciliation>>> reports(Executor& on);
  Task<Result<v1::Operation>> drop(Executor& on, std::string id, std::string by);

  struct Summary {
    QueueSummary queue;
    std::string out_of_order;  // why; empty: it is well
  };
  Summary summary() const;

 private:
  Desk(DeskOptions options, Executor& executor, MonotonicClock& clock, WallClock& wall, Random& random)
      : options_(options), executor_(executor), clock_(clock), wall_(wall), random_(random) {}
  Moment now() const { return {wall_.now(), clock_.now()}; }
  Status well() const;
  template <class T, class Ask>
  Task<Result<T>> ask(Executor& on, Ask ask);
  void answer_later(std::function<void(const Status&)> answer);
  void flush();
  void look();
  void pump();
  void perform(v1::Operation operation);
  void tell();
  void publish();

  const DeskOptions options_;
  Executor& executor_;
  MonotonicClock& clock_;
  WallClock& wall_;
  Random& random_;
  // On the executor.
  std::optional<Queue> queue_;
  std::unique_ptr<QueueDisk> disk_;
  std::string out_of_order_;
  std::vector<std::function<void(const Status&)>> answers_;
  bool flush_posted_ = false, pump_posted_ = false;
  Perform perform_;
  std::function<bool()> allowed_;
  Watcher watcher_;
  // For all.
  mutable std::mutex mutex_;
  Summary summary_;
  TaskScope performing_;
};

}  // namespace evercert::degraded
