// SPDX-License-Identifier: Apache-2.0
#include "net/server_calls.h"

#include <vector>

namespace evercert::net {

ServerCall::ServerCall(ServerCalls& all) : all_(all) {
  std::lock_guard lock(all_.mutex_);
  all_.all_.insert(this);
}

ServerCall::~ServerCall() {
  std::lock_guard lock(all_.mutex_);
  all_.all_.erase(this);
  if (begun_) --all_.begun_;
  all_.fewer_.notify_all();
}

void ServerCall::begun() {
  std::lock_guard lock(all_.mutex_);
  begun_ = true;
  ++all_.begun_;
}

void ServerCalls::close() {
  if (!closed_.exchange(true)) end_each(true);
}

void ServerCalls::give_up() {
  closed_ = true;
  end_each(false);
}

// Calls go on the queue's thread alone, and none while it is told: the copy stays good.
void ServerCalls::end_each(bool only_waiting) {
  queue_.post([this, only_waiting] {
    std::vector<ServerCall*> all;
    {
      std::lock_guard lock(mutex_);
      all.assign(all_.begin(), all_.end());
    }
    for (ServerCall* call : all) {
      if (!only_waiting || call->waits()) call->give_up();
    }
  });
}

bool ServerCalls::wait_answered(Duration patience) {
  std::unique_lock lock(mutex_);
  return fewer_.wait_for(lock, patience, [this] { return begun_ == 0; });
}

bool ServerCalls::wait_gone(Duration patience) {
  std::unique_lock lock(mutex_);
  return fewer_.wait_for(lock, patience, [this] { return all_.empty(); });
}

std::size_t ServerCalls::size() const {
  std::lock_guard lock(mutex_);
  return all_.size();
}

}  // namespace evercert::net
