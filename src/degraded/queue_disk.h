// SPDX-License-Identifier: Apache-2.0
// The queue's records on the node's own disk: the metas of a log of the store's kind (docs/formats/log.md), in files of
// its own. So the rules of torn tails, damage, failed syncs and lost writes are the store's, and so is the code that
// simulations have torn. Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "degraded/queue.h"
#include "store/log/metas.h"

namespace evercert::degraded {

class QueueDisk {
 public:
  // kCorrupt: damaged, with file and offset, and the way out. kIo.
  static Result<std::unique_ptr<QueueDisk>> open(Disk& disk, const std::string& dir, const QueueLimits& limits);
  const std::map<std::string, std::string>& records() const { return store::all_meta(*log_); }
  // All of it or, after a crash, nothing. kIo: it may be there after a restart; nothing more can be written before one.
  Status write(std::vector<Change> changes);

 private:
  explicit QueueDisk(std::unique_ptr<store::Log> log) : log_(std::move(log)) {}
  std::unique_ptr<store::Log> log_;
};

}  // namespace evercert::degraded
