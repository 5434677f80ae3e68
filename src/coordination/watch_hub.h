// SPDX-License-Identifier: Apache-2.0
// Who watches which keys on this node. A watch that is up to date is handed each revision as it is applied; one that
// asks for the past, or whose holder is slow, reads the history of the key space until it has caught up. So no watch
// ever misses an event, none holds more than its share of memory, and only compaction can end one: it is then told the
// compacted revision. Any thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "coordination/layout.h"
#include "coordination/machine.h"
#include "coordination/state.h"

namespace evercert::coordination {

struct WatchRequest {
  KeyRange range;
  std::int64_t start = 0;  // the first revision of interest; 0: what comes from now on
  bool puts = true, deletes = true;
};

struct WatchNews {
  std::vector<std::shared_ptr<const mvccpb::Event>> events;  // in order; whole revisions
  bool more = false;                                         // ask again
  std::optional<std::int64_t> compacted;                     // the watch has ended
};

class WatchHub {
 public:
  using Id = std::uint64_t;
  // `view`: the key space as it is now. It holds at least what applied() was told.
  explicit WatchHub(std::function<std::unique_ptr<View>()> view, std::size_t most_waiting_bytes = 1 << 20,
                    Bug bug = Bug::kNone)
      : view_(std::move(view)), most_waiting_bytes_(most_waiting_bytes), bug_(bug) {}

  // What was applied on this node, in order and without a gap, after the state shows it.
  void applied(const Effects& effects);
  // The key space was replaced as a whole, by a later one: everybody catches up.
  void replaced();

  // `wake` is called when there may be news, from within applied() and replaced(), and then not before the next take().
  // It must not call the hub. The first take() needs no wake.
  Result<Id> add(WatchRequest request, std::function<void()> wake);
  void remove(Id id);
  // kCorrupt, kIo: the history cannot be read.
  Result<WatchNews> take(Id id, std::size_t most_bytes = 1 << 20);
  // Everything up to this revision was given out; nullopt while the watch is behind.
  std::optional<std::int64_t> progress(Id id) const;
  std::size_t size() const;

 private:
  struct Watch {
    WatchRequest request;
    std::function<void()> wake;
    std::int64_t next = 0;  // revisions below were given out or lie in `waiting`
    std::int64_t told = 0;  // the revision at which it caught up
    bool caught_up = false, woken = true;
    std::vector<std::shared_ptr<const mvccpb::Event>> waiting;
    std::size_t waiting_bytes = 0;
  };

  static bool wants(const WatchRequest& request, const mvccpb::Event& event);
  void hand(Watch& watch, const std::shared_ptr<const mvccpb::Event>& event);
  void fall_behind(Watch& watch);
  void wake(Watch& watch);
  Result<WatchNews> catch_up(const std::shared_ptr<Watch>& watch, std::size_t most_bytes);

  std::function<std::unique_ptr<View>()> view_;
  std::size_t most_waiting_bytes_;
  Bug bug_;
  mutable std::mutex mutex_;
  Id last_id_ = 0;
  std::int64_t revision_ = 0;  // that applied() has told; 0: nothing yet
  std::map<Id, std::shared_ptr<Watch>> watches_;
  std::unordered_multimap<std::string, Watch*> by_key_;  // of one key
  std::map<Watch*, Id> of_ranges_;
};

// A watch that ends with its holder, wherever that is destroyed.
class Watching {
 public:
  // As WatchHub::add(). The hub outlives the watch.
  static Result<Watching> begin(WatchHub& hub, WatchRequest request, std::function<void()> wake) {
    EC_ASSIGN(const auto id, hub.add(std::move(request), std::move(wake)));
    return Watching(hub, id);
  }
  Watching(Watching&& other) noexcept : hub_(std::exchange(other.hub_, nullptr)), id_(other.id_) {}
  Watching& operator=(Watching&&) = delete;
  ~Watching() {
    if (hub_ != nullptr) hub_->remove(id_);
  }

  Result<WatchNews> take() { return hub_->take(id_); }
  std::optional<std::int64_t> progress() const { return hub_->progress(id_); }

 private:
  Watching(WatchHub& hub, WatchHub::Id id) : hub_(&hub), id_(id) {}

  WatchHub* hub_;
  WatchHub::Id id_;
};

}  // namespace evercert::coordination
