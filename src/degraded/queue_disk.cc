// SPDX-License-Identifier: Apache-2.0
#include "degraded/queue_disk.h"

namespace evercert::degraded {

Result<std::unique_ptr<QueueDisk>> QueueDisk::open(Disk& disk, const std::string& dir, const QueueLimits& limits) {
  store::LogOptions options;
  // A new file begins with everything that is there: it must be a small part of the file.
  constexpr std::uint64_t kShare = 4, kLeast = 4 << 20;
  options.segment_bytes = std::max(kShare * limits.bytes, kLeast);
  auto log = store::Log::open(disk, dir, options);
  if (!log && log.error().code == Code::kCorrupt) {
    return fail(Code::kCorrupt, log.error().message + ": keep the folder " + dir +
                                    ", move it away and start the node again: what it held is then not carried out");
  }
  if (!log) return fail(log.error());
  return std::unique_ptr<QueueDisk>(new QueueDisk(std::move(*log)));
}

Status QueueDisk::write(std::vector<Change> changes) {
  for (Change& change : changes) {
    if (change.value) {
      log_->put_meta(std::move(change.key), std::move(*change.value));
    } else {
      log_->remove_meta(change.key);
    }
  }
  return log_->sync();
}

}  // namespace evercert::degraded
