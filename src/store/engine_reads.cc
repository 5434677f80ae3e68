// SPDX-License-Identifier: Apache-2.0
// Reads that must be fresh. With a lease: the end of the region's log is taken *after* the lease was seen valid, then
// entries up to there that touch the record must be applied. Without: a read index from the group's leader.
#include <algorithm>

#include "base/probe.h"
#include "store/engine.h"
#include "store/keys.h"

namespace evercert::store {

void Engine::freshen(GroupId group, std::string record, Instant deadline, ReadDone done, Instant now) {
  if (group.value > kMostRegions || !keeps_records(group)) return done(Freshness::kStale);
  if (!has(group)) {
    // When the global group says that it does not exist, as far as anybody was told before this read began, nothing was
    // ever written in it.
    auto then = [this, group, record = std::move(record), deadline, done = std::move(done),
                 now](Freshness known) mutable {
      if (known == Freshness::kStale || !has(group)) return done(known);
      freshen(group, std::move(record), deadline, std::move(done), now);
    };
    return freshen(kGlobalGroup, membership_record(), deadline, std::move(then), now);
  }
  const std::uint64_t id = ++last_read_;
  Read& read = reads_[id];
  read.id = id;
  read.group = group;
  read.record = std::move(record);
  read.deadline = deadline;
  read.done = std::move(done);
  if (options_.bug == Bug::kLeaseCheckedLast) {
    read.need_applied = board_.tail(group).pending(read.record);
    read.stage = Read::Stage::kApply;
  }
  (void)now;
}

void Engine::advance_reads(Instant now) {
  for (auto it = reads_.begin(); it != reads_.end();) {
    Read& read = it->second;
    const bool here = has(read.group);  // not, when the file named a region that the cluster does not have
    const bool fresh = here && advance(read, now);
    const bool hopeless = !here || (read.stage == Read::Stage::kReadIndex && quorum_.lost_since(read.group, now));
    if (!fresh && !hopeless && read.deadline > now) {
      ++it;
      continue;
    }
    ReadDone done = std::move(read.done);
    it = reads_.erase(it);
    done(fresh ? Freshness::kFresh : Freshness::kStale);
  }
}

// True when the read may be answered now.
bool Engine::advance(Read& read, Instant now) {
  using Stage = Read::Stage;
  Group& group = *groups_[read.group.value];
  const bool leased = board_.leased(read.group, now);
  const Configuration& members = group.configuration();
  if (read.stage != Stage::kBegin && read.stage != Stage::kReadIndex && read.stage != Stage::kApply &&
      read.changes_seen != group.changes_seen() && options_.bug != Bug::kAnswerByNewVoters) {
    EC_PROBE("a read begins again because the members have changed");
    read.stage = Stage::kBegin;
  }
  if (read.stage == Stage::kBegin || (read.stage == Stage::kReadIndex && leased)) {
    if (leased) {
      read.told.clear();
      read.changes_seen = group.changes_seen();
      read.retry = now;
      read.need_log = group.last_position();
      const bool own_log = options_.bug == Bug::kReadOwnLogOnly ||
                           (options_.bug == Bug::kAnswerByNewVoters && (members.joint() || group.changing()));
      const bool alone = own_log || members.alone_in_region(options_.self);
      read.stage = alone ? Stage::kOwnLog : Stage::kNeighbours;
    } else {
      read.stage = Stage::kReadIndex;
    }
  }
  if (read.stage == Stage::kNeighbours && read.retry <= now) {
    read.retry = now + options_.read_retry;
    EC_PROBE("a leased read asks its neighbours");
    for (const NodeId node : members.members()) {
      if (node == options_.self || region_of(node) != region_of(options_.self) || !members.votes(node)) continue;
      v1::ReadAsk* ask = to(node)->mutable_read_ask();
      ask->set_read(read.id);
      ask->set_group(read.group.value);
    }
  }
  const auto told_by_quorum = [&](const Layout& half) {
    const auto told = std::count_if(half.nodes.begin(), half.nodes.end(),
                                    [&](NodeId node) { return node == options_.self || read.told.contains(node); });
    return static_cast<std::size_t>(told) >= half.region_quorum(region_of(options_.self));
  };
  if (read.stage == Stage::kNeighbours && std::all_of(members.halves.begin(), members.halves.end(), told_by_quorum)) {
    for (const auto& [node, last] : read.told) read.need_log = std::max(read.need_log, last);
    read.stage = Stage::kOwnLog;
  }
  if (read.stage == Stage::kReadIndex && read.retry <= now) {
    read.retry = now + (group.leader() == NodeId{0} ? options_.tick : options_.read_retry);
    std::string context(sizeof read.id, '\0');
    __builtin_memcpy(context.data(), &read.id, sizeof read.id);
    // Asked again when no answer comes: no leader may be known yet, or it may not have committed in its term.
    if (options_.bug == Bug::kReadOwnCommit) {
      on_read_index(read.group, read.id, group.status().commit);
    } else {
      group.raft().read_index(context);
    }
  }
  // By term first: a tail that an earlier leader left here may be longer than a log that holds what was acknowledged.
  const bool by_index = options_.bug == Bug::kCompareIndexes;
  const bool reached =
      by_index ? group.last_position().index >= read.need_log.index : group.last_position() >= read.need_log;
  if (read.stage == Stage::kOwnLog && reached) {
    read.need_applied = options_.bug == Bug::kReadPending ? LogIndex{0} : board_.tail(read.group).pending(read.record);
    read.stage = Stage::kApply;
  }
  if (read.stage != Stage::kApply || group.applied_index() < read.need_applied) return false;
  if (options_.bug == Bug::kLeaseCheckedLast) return leased;
  return true;
}

void Engine::on_read_index(GroupId group, std::uint64_t id, LogIndex index) {
  const auto found = reads_.find(id);
  if (found == reads_.end() || found->second.group != group || found->second.stage != Read::Stage::kReadIndex) return;
  found->second.need_applied = index;
  found->second.stage = Read::Stage::kApply;
}

void Engine::on_read_told(NodeId from, const v1::ReadTold& told) {
  const auto found = reads_.find(told.read());
  if (found == reads_.end() || found->second.group != GroupId{told.group()} ||
      found->second.stage != Read::Stage::kNeighbours || region_of(from) != region_of(options_.self)) {
    return;
  }
  found->second.told[from] = {Term{told.last().term()}, LogIndex{told.last().index()}};
}

}  // namespace evercert::store
