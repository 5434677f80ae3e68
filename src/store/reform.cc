// SPDX-License-Identifier: Apache-2.0
#include "store/reform.h"

#include <algorithm>

#include "store/snapshots.h"

namespace evercert::store {
namespace {

const std::string kReformationKey = "reformation";

std::string name_of(GroupId group) {
  return group == kGlobalGroup ? "the global group" : "group " + std::to_string(group.value);
}

std::string id_of(const std::optional<v1::Reformation>& earlier, const std::vector<NodeId>& voters) {
  std::string id = earlier ? earlier->id() + "/" : "";
  for (const NodeId voter : voters) id += (voter == voters.front() ? "" : "+") + std::to_string(voter.value);
  return id;
}

}  // namespace

std::vector<GroupEnd> ends_of(const Log& log, Kv& kv, const Layout& layout, Status& read) {
  std::vector<GroupEnd> ends;
  for (std::uint32_t g = 0; g < layout.groups(); ++g) {
    const GroupId group{g};
    const auto applied = read_applied(kv, group);
    if (!applied) {
      read = fail(applied.error());
      return ends;
    }
    const HardState state = log.hard_state(group);
    ends.push_back({group, state.term, log.last_index(group), std::max(state.commit, applied->index), state.vote});
  }
  return ends;
}

std::vector<std::string> losses(const std::vector<GroupEnd>& ends, const std::vector<NodeId>& voters) {
  std::vector<std::string> lines;
  for (const GroupEnd& end : ends) {
    const std::uint64_t open = end.last.value - std::min(end.last.value, end.committed.value);
    if (open > 0)
      lines.push_back(
          name_of(end.group) + ": " + std::to_string(open) + " entries after index " +
          std::to_string(end.committed.value) +
          " are not known to be committed here; they will be, though their clients may have been told nothing");
    const bool led_elsewhere =
        end.vote != NodeId{0} && std::find(voters.begin(), voters.end(), end.vote) == voters.end();
    if (led_elsewhere)
      lines.push_back(name_of(end.group) + ": in term " + std::to_string(end.term.value) +
                      " this replica voted for node " + std::to_string(end.vote.value) +
                      ", which is lost: as leader it may have acknowledged more than is here after index " +
                      std::to_string(end.last.value));
  }
  lines.push_back(
      "all groups: what was acknowledged while this region held no lease (it lagged, or was cut off) and has not "
      "reached "
      "it is lost, revocations and certificates alike");
  return lines;
}

Result<v1::Reformation> reform(Log& log, const Layout& layout, std::vector<NodeId> voters, const std::string& by,
                               WallTime at, const std::string& losses) {
  EC_ASSIGN(const auto earlier, load_reformation(log));
  Layout present = layout;
  std::string unused;
  if (earlier) use(*earlier, present, unused);
  std::sort(voters.begin(), voters.end());
  if (voters.empty()) return fail(Code::kInvalid, "no replica is left to go on");
  for (const NodeId voter : voters) {
    if (!present.contains(voter))
      return fail(Code::kInvalid, "node " + std::to_string(voter.value) + " is no replica of these groups");
  }
  if (voters == present.nodes) return fail(Code::kConflict, "these replicas are the only voters already");
  v1::Reformation reformation;
  reformation.set_id(id_of(earlier, voters));
  for (const NodeId voter : voters) reformation.add_voters(voter.value);
  reformation.set_by(by);
  reformation.set_at_ms(at.ms);
  reformation.set_losses(losses);
  log.put_meta(kReformationKey, reformation.SerializeAsString());
  EC_TRY(log.sync());
  return reformation;
}

Status join(Log& log, const v1::Reformation& reformation) {
  if (reformation.id().empty() || reformation.voters().empty())
    return fail(Code::kInvalid, "a reformation has an id and at least one voter");
  bool empty = !log.meta(kReformationKey).has_value();
  for (std::uint32_t g = 0; g <= kMostRegions; ++g) {
    empty &= log.last_index(GroupId{g}) == LogIndex{0} && log.hard_state(GroupId{g}).term == Term{0};
  }
  if (!empty) return fail(Code::kConflict, "this log has been part of a cluster: only a new one joins another");
  log.put_meta(kReformationKey, reformation.SerializeAsString());
  return log.sync();
}

Result<std::optional<v1::Reformation>> load_reformation(const Log& log) {
  const auto bytes = log.meta(kReformationKey);
  if (!bytes) return std::optional<v1::Reformation>{};
  v1::Reformation reformation;
  if (!reformation.ParseFromString(*bytes) || reformation.voters().empty())
    return fail(Code::kCorrupt, "the log's word on its voters does not parse");
  return std::optional(std::move(reformation));
}

void use(const v1::Reformation& reformation, Layout& layout, std::string& cluster_id) {
  layout.nodes.clear();
  for (const auto voter : reformation.voters()) layout.nodes.push_back(NodeId{voter});
  cluster_id += "/" + reformation.id();
}

}  // namespace evercert::store
