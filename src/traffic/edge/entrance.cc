// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/entrance.h"

namespace evercert::traffic {

Entrance::Entering::~Entering() {
  if (waiter_ != nullptr) waiter_->waiting = {};
}

bool Entrance::Entering::await_ready() {
  if (entrance_.waiting_.load(std::memory_order_relaxed) > 0) return false;
  const auto coming = entrance_.coming_.load(std::memory_order_relaxed);
  return in_ = entrance_.backends_.admits(of_, static_cast<double>(coming));
}

// False: it has been decided at once.
bool Entrance::Entering::await_suspend(std::coroutine_handle<> handle) {
  std::lock_guard lock(entrance_.mutex_);
  const Instant now = entrance_.clock_.now();
  const auto arrival = entrance_.door_.arrives(of_, now, entrance_.admits());
  in_ = arrival.entry == Entry::kIn;
  if (arrival.displaced) entrance_.settle({{}, {*arrival.displaced}}, now);
  if (arrival.entry != Entry::kWaits) return false;
  waiter_ = std::make_shared<Waiter>(on_, now);
  waiter_->waiting = handle;
  entrance_.waiters_.emplace(arrival.ticket, waiter_);
  entrance_.waiting_.store(entrance_.waiters_.size(), std::memory_order_relaxed);
  on_.post_after(entrance_.door_.patience(of_) + 1ms, [&entrance = entrance_] { entrance.room(); });
  return true;
}

Entrance::Entered Entrance::Entering::await_resume() {
  if (waiter_ == nullptr) return {in_, Duration{0}};
  return waiter_->result;
}

void Entrance::turn() {
  std::lock_guard lock(mutex_);
  const Instant now = clock_.now();
  Door::Turn out;
  door_.turn(now, admits(), out);
  settle(out, now);
}

void Entrance::settle(const Door::Turn& turn, Instant now) {
  const auto tell = [&](Door::Ticket ticket, bool in) {
    const auto found = waiters_.find(ticket);
    auto waiter = std::move(found->second);
    waiters_.erase(found);
    waiter->result = {in, now - waiter->since};
    Executor& on = waiter->on;
    on.post([this, waiter = std::move(waiter), in] {
      if (in) {
        std::lock_guard lock(mutex_);
        door_.begun();  // in this very turn of the loop
        coming_.store(door_.coming(), std::memory_order_relaxed);
      }
      if (waiter->waiting) std::exchange(waiter->waiting, {}).resume();
    });
  };
  for (const auto ticket : turn.in) tell(ticket, true);
  for (const auto ticket : turn.refused) tell(ticket, false);
  waiting_.store(waiters_.size(), std::memory_order_relaxed);
  coming_.store(door_.coming(), std::memory_order_relaxed);
}

}  // namespace evercert::traffic
