// SPDX-License-Identifier: Apache-2.0
// Linux behind the interfaces of base/env.h: the only code that touches the real clock, disk and randomness.
#pragma once

#include <memory>

#include "base/env.h"

namespace evercert::os {

MonotonicClock& monotonic_clock();  // CLOCK_BOOTTIME: also counts while the machine sleeps, so leases lapse then
WallClock& wall_clock();
Random& secure_random();  // OpenSSL's CSPRNG; thread-safe
Disk& disk();
// Of the file system that `path` lies on: what of it may still be written, 0 to 1. kIo.
Result<double> free_share(const std::string& path);
// Of the machine's memory, what programs can still be given without swapping (Linux: MemAvailable), 0 to 1.
Result<double> available_memory_share();

// To be called before a server process starts its threads. When it has one core alone, a thread that becomes ready will
// not drive out the one that runs (SCHED_BATCH): work passes from thread to thread in batches here, and pre-emption
// would cut each batch to its first piece. With more cores nothing is changed, since others' programs would then go
// first.
void run_in_batches();

// A thread with a run queue and timers.
class ThreadExecutor : public Executor {
 public:
  // Finishes what is under way, drops the rest, joins. What is posted afterwards never runs. The destructor does it
  // too.
  virtual void stop() = 0;
  static std::unique_ptr<ThreadExecutor> start(const char* thread_name);
};

// `threads` threads that share a queue of CPU work (signatures, checks of requests).
class WorkerPool {
 public:
  virtual ~WorkerPool() = default;
  virtual void post(std::move_only_function<void()> work) = 0;
  static std::unique_ptr<WorkerPool> start(const char* thread_name, int threads);
};

}  // namespace evercert::os
