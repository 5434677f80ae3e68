// SPDX-License-Identifier: Apache-2.0
#include "coordination/watch_hub.h"

#include <algorithm>

#include "base/probe.h"
#include "coordination/keyspace.h"

namespace evercert::coordination {
namespace {

bool of_one_key(const KeyRange& range) { return range.to == range.from + '\0'; }

}  // namespace

bool WatchHub::wants(const WatchRequest& request, const mvccpb::Event& event) {
  if (event.type() == mvccpb::Event::PUT ? !request.puts : !request.deletes) return false;
  return request.range.contains(event.kv().key()) && !is_reserved(event.kv().key());
}

void WatchHub::wake(Watch& watch) {
  if (!std::exchange(watch.woken, true)) watch.wake();
}

// What waits is read again from the history, from its first revision on.
void WatchHub::fall_behind(Watch& watch) {
  EC_PROBE("a slow watcher falls behind");
  if (!watch.waiting.empty()) watch.next = watch.waiting.front()->kv().mod_revision();
  watch.waiting.clear();
  watch.waiting_bytes = 0;
  watch.caught_up = false;
}

void WatchHub::hand(Watch& watch, const std::shared_ptr<const mvccpb::Event>& event) {
  const std::int64_t revision = event->kv().mod_revision();
  if (!watch.caught_up || revision < watch.next || !wants(watch.request, *event)) return;
  const std::size_t bytes = event->ByteSizeLong();
  if (watch.waiting_bytes + bytes > most_waiting_bytes_ && !watch.waiting.empty()) {
    if (bug_ == Bug::kDropWhenSlow) return;
    fall_behind(watch);
  } else {
    watch.waiting.push_back(event);
    watch.waiting_bytes += bytes;
  }
  wake(watch);
}

void WatchHub::applied(const Effects& effects) {
  std::lock_guard lock(mutex_);
  revision_ = effects.meta.revision;
  if (watches_.empty()) return;
  for (const auto& event : effects.events) {
    const auto [first, last] = by_key_.equal_range(event->kv().key());
    for (auto it = first; it != last; ++it) hand(*it->second, event);
    for (auto& [watch, id] : of_ranges_) hand(*watch, event);
  }
}

void WatchHub::replaced() {
  std::lock_guard lock(mutex_);
  revision_ = 0;
  for (auto& [id, watch] : watches_) {
    if (watch->caught_up) fall_behind(*watch);
    wake(*watch);
  }
}

Result<WatchHub::Id> WatchHub::add(WatchRequest request, std::function<void()> wake) {
  EC_ASSIGN(const auto meta, read_meta(*view_()));
  std::lock_guard lock(mutex_);
  auto watch = std::make_shared<Watch>();
  watch->next = request.start > 0 ? request.start : meta.revision + 1;
  if (bug_ == Bug::kSkipAtResume && request.start > 0) ++watch->next;
  watch->wake = std::move(wake);
  watch->request = std::move(request);
  const Id id = ++last_id_;
  if (of_one_key(watch->request.range)) {
    by_key_.emplace(watch->request.range.from, watch.get());
  } else {
    of_ranges_.emplace(watch.get(), id);
  }
  watches_.emplace(id, std::move(watch));
  return id;
}

void WatchHub::remove(Id id) {
  std::lock_guard lock(mutex_);
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  Watch* watch = found->second.get();
  of_ranges_.erase(watch);
  const auto [first, last] = by_key_.equal_range(watch->request.range.from);
  const auto entry = std::find_if(first, last, [&](const auto& one) { return one.second == watch; });
  if (entry != last) by_key_.erase(entry);
  watches_.erase(found);
}

Result<WatchNews> WatchHub::take(Id id, std::size_t most_bytes) {
  std::shared_ptr<Watch> watch;
  {
    std::lock_guard lock(mutex_);
    const auto found = watches_.find(id);
    if (found == watches_.end()) return WatchNews{};
    watch = found->second;
    watch->woken = false;
    if (watch->caught_up) {
      WatchNews news;
      news.events.swap(watch->waiting);
      watch->waiting_bytes = 0;
      if (!news.events.empty()) watch->next = news.events.back()->kv().mod_revision() + 1;
      return news;
    }
  }
  return catch_up(watch, most_bytes);
}

// Only the watch's holder calls this, one call after another: `next` changes nowhere else while the watch is behind.
Result<WatchNews> WatchHub::catch_up(const std::shared_ptr<Watch>& watch, std::size_t most_bytes) {
  const auto view = view_();
  EC_ASSIGN(const auto meta, read_meta(*view));
  WatchNews news;
  if (watch->next < meta.compacted && bug_ != Bug::kSilentGap) {
    EC_PROBE("a watch is behind compaction");
    news.compacted = meta.compacted;
    return news;
  }
  std::size_t bytes = 0;
  std::optional<std::int64_t> full;  // the revision that fills the answer; it is the last
  bool stopped = false;
  EC_TRY(read_history(*view, watch->next, [&](std::int64_t revision, mvccpb::Event event) {
    stopped = full && revision > *full;
    if (stopped) return false;
    if (!wants(watch->request, event)) return true;
    bytes += event.ByteSizeLong();
    news.events.push_back(std::make_shared<const mvccpb::Event>(std::move(event)));
    if (bytes >= most_bytes) full = revision;
    return true;
  }));
  const std::int64_t told = stopped ? *full : meta.revision;  // everything up to here
  std::lock_guard lock(mutex_);
  watch->next = std::max(watch->next, told + 1);
  watch->told = told;
  watch->caught_up = !stopped && revision_ <= told;
  news.more = !watch->caught_up;
  return news;
}

std::optional<std::int64_t> WatchHub::progress(Id id) const {
  std::lock_guard lock(mutex_);
  const auto found = watches_.find(id);
  if (found == watches_.end() || !found->second->caught_up || !found->second->waiting.empty()) return std::nullopt;
  return std::max(revision_, found->second->told);
}

std::size_t WatchHub::size() const {
  std::lock_guard lock(mutex_);
  return watches_.size();
}

}  // namespace evercert::coordination
