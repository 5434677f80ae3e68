// SPDX-License-Identifier: Apache-2.0
// Who contends for which lock, as this node has applied it: kept in memory for the locks that are asked for here, so
// that taking one needs its own entry in the log and nothing else. A contender's key is the first below its lock's name
// once no older one is left, and no older one can come: what this node knows may be old, but never wrong, as long as it
// has seen the contender's own key come (its create revision, the token). Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "coordination/machine.h"
#include "coordination/state.h"

namespace evercert::coordination {

class LockTable {
  struct Lock;

 public:
  // `view`: the key space as it is now. It holds at least what applied() was told. `most_idle`: names that are kept
  // although nobody contends here.
  explicit LockTable(std::function<std::unique_ptr<View>()> view, std::size_t most_idle = 10'000, Bug bug = Bug::kNone)
      : view_(std::move(view)), most_idle_(most_idle), bug_(bug) {}

  // What was applied on this node, in order and without a gap, after the state shows it.
  void applied(const Effects& effects);
  // The key space was replaced as a whole, by a later one.
  void replaced();

  enum class Place {
    kUnseen,  // its key has not been applied here yet
    kBehind,  // others come first
    kFirst,
    kGone,  // its key was deleted: its lease has ended, or somebody took it away
  };
  struct Standing {
    Place place;
    std::int64_t revision;  // of the key space as it is applied here
  };

  // One who contends, until he is destroyed. The table outlives him.
  class Contender {
   public:
    // `wake` is called from within applied() and replaced(), when what was told last may have changed. It must
    // not call the table.
    Contender(LockTable& table, const std::string& name, std::function<void()> wake);
    Contender(const Contender&) = delete;
    Contender& operator=(const Contender&) = delete;
    ~Contender();
    // Of the key with this create revision. kCorrupt, kIo: the key space cannot be read.
    Result<Standing> standing(std::int64_t token);

   private:
    friend class LockTable;
    LockTable& table_;
    std::function<void()> wake_;
    std::int64_t token_ = 0;
    std::shared_ptr<Lock> lock_;
  };

  std::size_t contenders() const;  // that there are here

 private:
  // The mutex is held; load() lets go of it meanwhile.
  Status load(Lock& lock, std::unique_lock<std::mutex>& held);
  Place judge(const Lock& lock, std::int64_t token) const;
  void take_leave(Contender& contender);

  std::function<std::unique_ptr<View>()> view_;
  std::size_t most_idle_;
  Bug bug_;
  mutable std::mutex mutex_;
  std::int64_t revision_ = 0;                                          // that applied() has told; 0: nothing yet
  std::unordered_map<std::string_view, std::shared_ptr<Lock>> locks_;  // by their names
  std::list<Lock*> idle_;                                              // the longest idle first
  std::size_t contenders_ = 0;
};

}  // namespace evercert::coordination
