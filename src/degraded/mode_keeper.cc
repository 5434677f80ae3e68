// SPDX-License-Identifier: Apache-2.0
#include "degraded/mode_keeper.h"

#include "base/log.h"

namespace evercert::degraded {
namespace {

constexpr Duration kLook = 200ms;

}  // namespace

void ModeKeeper::start() {
  look();
  executor_.post_after(kLook, [this] { start(); });
}

ModeView ModeKeeper::look() {
  std::vector<std::optional<std::int64_t>> lost;
  for (const auto& group : store_.group_status()) {
    if (lost.size() <= group.group.value) lost.resize(group.group.value + 1);
    lost[group.group.value] = group.quorum_lost_ms;
  }
  const std::size_t waiting = waiting_();
  std::lock_guard lock(mutex_);
  if (const auto line = watch_.look(lost, waiting, wall_.now())) log_warning(*line);
  degraded_ = watch_.view().anything_lost();
  return watch_.view();
}

ModeView ModeKeeper::view() const {
  std::lock_guard lock(mutex_);
  return watch_.view();
}

}  // namespace evercert::degraded
