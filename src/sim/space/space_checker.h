// SPDX-License-Identifier: Apache-2.0
// What the key space promises, judged from what clients and watchers were told.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "coordination/machine.h"
#include "sim/world.h"

namespace evercert::sim {

using SeenEvent = std::tuple<std::int64_t, std::string, bool, std::string>;  // revision, key, is there, value
SeenEvent seen(const mvccpb::Event& event);

class SpaceChecker {
 public:
  explicit SpaceChecker(World& world) : world_(world) {}

  // --- all nodes apply the same changes, and each change once
  void applied(const coordination::Effects& effects);
  // --- a lock has one holder at a time, and each has a higher fencing token than those before
  void holds(int client, const std::string& lock, std::int64_t token);
  void holds_no_more(int client, const std::string& lock);
  // A lease was told to be gone although its holder could still count on it.
  void lease_gone_early(int client);
  // --- compare-and-set: each success was the only one from its value
  void counted(std::int64_t value);
  void count_is(std::int64_t value);
  // --- watches: everything between where they began and where they end, but for gaps that they were told of
  void watched(const std::string& prefix, const std::vector<SeenEvent>& events, std::int64_t until,
               const std::vector<std::pair<std::int64_t, std::int64_t>>& gaps);
  // --- an acknowledged put is in the history at its revision
  void acknowledged(std::int64_t revision, const std::string& key, const std::string& value);
  void check_acknowledged();
  // --- automatic compaction: nothing goes that the policy keeps, and what it does not keep goes in the end
  void keeps(const coordination::CompactionPolicy& policy) { policy_ = policy; }
  void check_compacted();

  void violation(std::string what);
  const std::optional<std::string>& found() const { return found_; }
  std::uint64_t acquisitions() const { return acquisitions_; }
  std::uint64_t successes() const { return counted_.size(); }
  std::int64_t compacted() const { return compacted_; }
  std::int64_t last_revision() const { return history_.empty() ? 1 : history_.rbegin()->first; }

 private:
  void compacted(const coordination::Meta& meta);
  // The latest revision at a time.
  std::int64_t latest_at(Instant time) const;

  World& world_;
  std::optional<std::string> found_;
  std::map<std::int64_t, std::vector<SeenEvent>> history_;
  std::set<std::string> once_;  // values that were written, each meant to be written once
  std::map<std::string, std::optional<int>> holders_;
  std::map<std::string, std::int64_t> tokens_;
  std::set<std::int64_t> counted_;
  std::map<std::int64_t, std::pair<std::string, std::string>> acknowledged_;
  std::uint64_t acquisitions_ = 0;
  std::optional<coordination::CompactionPolicy> policy_;
  std::map<std::int64_t, Instant> first_applied_;  // revisions, by the first node
  std::int64_t compacted_ = 0;
};

}  // namespace evercert::sim
