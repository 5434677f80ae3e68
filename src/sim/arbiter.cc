// SPDX-License-Identifier: Apache-2.0
#include "sim/arbiter.h"

#include <algorithm>
#include <map>

namespace evercert::sim {
namespace {

constexpr Duration kLooksEvery = 500ms;
constexpr Duration kBelated = 3s;  // a majority that can tell has done so by then
constexpr Duration kTrusted = 5s;  // states that differ are found out by then

}  // namespace

void Arbiter::start() {
  world_.at(kLooksEvery, [this] {
    look();
    start();
  });
}

void Arbiter::look() {
  const std::set<NodeId> wrong = this->wrong();
  if (wrong.empty()) {
    since_.reset();
    for (const RegionId region : drained_) operator_.order(region, store::v1::SERVING);
    drained_.clear();
    if (!well_since_) well_since_ = world_.now();
    if (world_.now() - *well_since_ >= kTrusted) trust_again();
    return;
  }
  well_since_.reset();
  if (!since_) since_ = world_.now();
  if (world_.now() - *since_ >= kBelated) rebuild(wrong);
}

// Who differs from somebody who computed its state itself and did so rightly; where nobody did, from a copy that agrees
// with none of those whose memory failed.
std::set<NodeId> Arbiter::wrong() const {
  std::set<NodeId> found, failed;
  std::set<GroupId> with_voice;
  std::map<GroupId, std::set<NodeId>> by_copies;
  for (const NodeId node : world_.nodes()) {
    if (world_.up(node) && world_.damaged(node)) failed.insert(node);
  }
  for (const NodeId node : world_.nodes()) {
    if (!world_.up(node) || failed.contains(node)) continue;
    for (const auto& group : world_.engine(node)->status(world_.local_now(node))) {
      const std::set<NodeId> differing(group.differing.begin(), group.differing.end());
      if (group.copied_from == NodeId{0}) {
        with_voice.insert(group.group);
        found.insert(differing.begin(), differing.end());
      } else if (!failed.empty() && std::ranges::includes(differing, failed)) {
        by_copies[group.group].insert(differing.begin(), differing.end());
      }
    }
  }
  for (const auto& [group, differing] : by_copies) {
    if (!with_voice.contains(group)) found.insert(differing.begin(), differing.end());
  }
  return found;
}

// The word of doubt is taken back when there is nothing to doubt any more: a node that gives its state to nobody may be
// the only one that has the newest of it.
void Arbiter::trust_again() {
  for (const NodeId node : world_.nodes()) {
    if (!world_.up(node) || !world_.doubted(node) || world_.damaged(node) || world_.engine(node)->recovering())
      continue;
    world_.note("ARBITER " + node_name(node) + " is trusted again");
    world_.trust(node);
    return faults_.kill({node}, 300ms, World::End::kProcess);
  }
}

bool Arbiter::leads(NodeId node) const {
  if (!world_.up(node)) return false;
  for (std::uint32_t g = 0; world_.engine(node)->has(GroupId{g}); ++g) {
    if (world_.engine(node)->group(GroupId{g}).leads()) return true;
  }
  return false;
}

// What leads gives its state to who is rebuilt: so those that are wrong start again with the word that they are, and
// lead nothing from then on while others can. Copies are rebuilt first, since the node that they copied from has all
// that was acknowledged in its log.
void Arbiter::rebuild(const std::set<NodeId>& wrong) {
  for (const NodeId node : wrong) {
    if (drained_.insert(region_of(node)).second) operator_.order(region_of(node), store::v1::DRAINING);
  }
  for (const NodeId node : wrong) {
    if (world_.doubted(node)) continue;
    if (!world_.up(node)) return;
    world_.doubt(node);
    return faults_.kill({node}, 300ms, World::End::kProcess);
  }
  if (std::ranges::any_of(wrong, [this](NodeId node) { return leads(node); })) return;
  const auto copy = std::ranges::find_if(wrong, [this](NodeId node) { return !world_.damaged(node); });
  const NodeId next = copy != wrong.end() ? *copy : *wrong.begin();
  if (!faults_.empty_disk(next)) return;
  faults_.count("disputed state rebuilt");
  world_.note("ARBITER " + node_name(next) + " is rebuilt from a state that is right");
}

}  // namespace evercert::sim
