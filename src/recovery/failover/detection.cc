// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/detection.h"

#include <algorithm>
#include <optional>

namespace evercert::recovery {
namespace {

constexpr double kWell = 70;          // a score from which a region is well, as in health/verdict.h
constexpr Duration kSilent = 5s;      // a link that brings nothing for so long is down
constexpr Duration kLeaderless = 3s;  // an election takes a second or two
constexpr Duration kFarBehind = 5s;   // replication lag that no burst makes
constexpr const char* kDatabase = "database";
constexpr const char* kReplication = "replication";

std::string join(const std::vector<std::string>& parts) {
  std::string all;
  for (const auto& part : parts) all += (all.empty() ? "" : "; ") + part;
  return all;
}

// The two that are left out are the whole database's matter, and are looked at as such.
bool is_broken(const std::string& component, double score) {
  return score <= 0 && component != kDatabase && component != kReplication;
}

bool lags_only(const Observation& own) {
  const auto lag = own.components.find(kReplication);
  return lag != own.components.end() && lag->second <= 0 && std::ranges::all_of(own.components, [](const auto& part) {
           return part.first == kReplication || part.second > 0;
         });
}

// How long nobody else has heard any node of the region; or `only` that one.
Duration silence_of(const Sight& sight, RegionId region, NodeId only) {
  std::optional<Instant> heard;
  for (const auto& [node, one] : sight.picture.seen) {
    if ((only == NodeId{} ? region_of(node) == region : node == only) || sight.of(node) == nullptr) continue;
    for (const auto& [other, silent] : one.what.silent) {
      if (only == NodeId{} ? region_of(other) != region : other != only) continue;
      heard = std::max(heard.value_or(one.at - silent), one.at - silent);
    }
  }
  return heard ? std::max<Duration>(0us, sight.now - *heard) : Duration{0};
}

void detect_regions(const Sight& sight, std::vector<Finding>& found) {
  for (const auto& [region, name] : sight.cluster.regions) {
    if (!sight.out_and_ill(region)) continue;
    std::vector<std::string> words;
    for (const Observation* one : sight.all()) {
      const auto word = one->out.find(region);
      if (word != one->out.end()) words.push_back(sight.name(one->node) + " says: " + word->second.substr(0, 160));
      if (words.size() == 4) break;
    }
    const Member member = sight.member(region);
    if (member.standing == Standing::kFenced) words.push_back("the store has fenced it (" + member.by + ")");
    found.push_back(
        {Kind::kRegion, name, region, NodeId{}, sight.heard(region), join(words), silence_of(sight, region, NodeId{})});
  }
}

void detect_zones(const Sight& sight, std::vector<Finding>& found) {
  for (const auto& [node, region] : sight.cluster.nodes) {
    if (sight.confirmed_out(region)) continue;
    const auto zones = std::ranges::count_if(sight.cluster.nodes, [&](const auto& n) { return n.second == region; });
    if (zones < 2) continue;
    std::size_t words = 0;
    if (!sight.gives_no_point(node, words)) continue;
    found.push_back({Kind::kZone, sight.name(node), region, node, sight.of(node) != nullptr,
                     std::to_string(words) + " regions give it no point", silence_of(sight, region, node)});
  }
}

void detect_components(const Sight& sight, std::vector<Finding>& found) {
  for (const Observation* one : sight.all()) {
    const RegionId region = region_of(one->node);
    if (sight.confirmed_out(region)) continue;
    for (const auto& [name, score] : one->components) {
      if (!is_broken(name, score)) continue;
      found.push_back({Kind::kComponent, sight.name(one->node) + " " + name, region, one->node, true,
                       "it gives its own " + name + " no point"});
    }
  }
}

// Nothing from `from` has reached any node of `to` for a while, though both answer the controller.
bool mute(const Sight& sight, RegionId from, RegionId to) {
  bool known = false;
  for (const Observation* hears : sight.of(to)) {
    for (const auto& [node, silent] : hears->silent) {
      if (region_of(node) != from) continue;
      if (silent < kSilent) return false;
      known = true;
    }
  }
  return known;
}

void detect_partitions(const Sight& sight, std::vector<Finding>& found) {
  for (const auto& [a, a_name] : sight.cluster.regions) {
    for (const auto& [b, b_name] : sight.cluster.regions) {
      if (!(a < b) || !sight.heard(a) || !sight.heard(b)) continue;
      const bool there = mute(sight, a, b), back = mute(sight, b, a);
      if (!there && !back) continue;
      const std::string subject = there && back ? a_name + " and " + b_name
                                  : there       ? a_name + " to " + b_name
                                                : b_name + " to " + a_name;
      found.push_back({Kind::kPartition, subject, there ? a : b, NodeId{}, true,
                       "for 5 s nothing has arrived on any connection, and both answer", kSilent});
    }
  }
}

void detect_database(const Sight& sight, std::vector<Finding>& found) {
  const auto all = sight.all();
  std::map<GroupId, std::size_t> leaderless, told, behind;
  for (const Observation* one : all) {
    for (const auto& group : one->groups) {
      ++told[group.group];
      if (group.leader == NodeId{} && group.leaderless >= kLeaderless) ++leaderless[group.group];
      if (group.lag_p99 >= kFarBehind) ++behind[group.group];
    }
  }
  for (const auto& [group, words] : told) {
    const std::string of = group == kGlobalGroup
                               ? "the global group"
                               : "the group of " + sight.name(RegionId{static_cast<std::uint8_t>(group.value)});
    const RegionId home{static_cast<std::uint8_t>(group.value)};
    if (leaderless[group] == words) {
      found.push_back({Kind::kDatabase, of + ", leader", home, NodeId{}, true,
                       "none of " + std::to_string(words) + " nodes has known a leader for 3 s", kLeaderless});
    }
    if (behind[group] * 2 > words) {
      found.push_back({Kind::kDatabase, of + ", lag", home, NodeId{}, true,
                       std::to_string(behind[group]) + " of " + std::to_string(words) + " nodes are 5 s behind",
                       kFarBehind});
    }
  }
}

}  // namespace

const Observation* Sight::of(NodeId node) const {
  const auto seen = picture.seen.find(node);
  if (seen == picture.seen.end()) return nullptr;
  const bool fresh = now - seen->second.at <= policy.stale || bug == Bug::kStaleData;
  return fresh ? &seen->second.what : nullptr;
}

std::vector<const Observation*> Sight::all() const {
  std::vector<const Observation*> all;
  for (const auto& [node, region] : cluster.nodes) {
    if (const auto* one = of(node)) all.push_back(one);
  }
  return all;
}

std::vector<const Observation*> Sight::of(RegionId region) const {
  auto all = this->all();
  std::erase_if(all, [&](const Observation* one) { return region_of(one->node) != region; });
  return all;
}

std::string Sight::blind() const {
  if (bug == Bug::kStaleData) return "";
  if (!picture.members_at || now - *picture.members_at > policy.stale)
    return "the membership record could not be read freshly: no majority is reached";
  std::size_t heard_regions = 0;
  for (const auto& [region, name] : cluster.regions) heard_regions += heard(region) ? 1 : 0;
  // Where two regions are left of three, both are needed to agree; where one is left, nothing is sure.
  if (heard_regions * 2 <= cluster.regions.size() && heard_regions < 2)
    return "only " + std::to_string(heard_regions) + " of " + std::to_string(cluster.regions.size()) +
           " regions can be asked";
  return "";
}

std::set<RegionId> Sight::say_out(RegionId region) const {
  std::set<RegionId> words;
  for (const Observation* one : all()) {
    if (one->out.contains(region)) words.insert(region_of(one->node));
  }
  return words;
}

std::set<RegionId> Sight::say_well(RegionId region) const {
  std::set<RegionId> words;
  for (const Observation* one : all()) {
    const auto score = one->scores.find(region);
    if (score != one->scores.end() && score->second >= kWell && !one->out.contains(region))
      words.insert(region_of(one->node));
  }
  return words;
}

bool Sight::fenced_by_majority(RegionId region) const {
  const Member member = this->member(region);
  return member.standing == Standing::kFenced && member.by == "attested";
}

bool Sight::confirmed_out(RegionId region) const {
  return fenced_by_majority(region) || say_out(region).size() >= needed();
}

bool Sight::out_and_ill(RegionId region) const {
  if (bug == Bug::kOldVerdict || fenced_by_majority(region)) return confirmed_out(region);
  std::set<RegionId> words;
  for (const Observation* one : all()) {
    const auto score = one->scores.find(region);
    if (one->out.contains(region) && (score == one->scores.end() || score->second < kWell))
      words.insert(region_of(one->node));
  }
  return words.size() >= needed();
}

bool Sight::well(RegionId region) const {
  return !confirmed_out(region) && heard(region) &&
         say_well(region).size() >= std::min<std::size_t>(2, cluster.regions.size());
}

bool Sight::gives_no_point(NodeId node, std::size_t& words) const {
  std::map<RegionId, bool> down;  // in the eyes of all of a region's other nodes
  for (const Observation* one : all()) {
    const auto score = one->nodes.find(node);
    if (one->node == node || score == one->nodes.end()) continue;
    const bool says_down = score->second <= 0;
    const auto [entry, first] = down.try_emplace(region_of(one->node), says_down);
    if (!first) entry->second = entry->second && says_down;
  }
  words = static_cast<std::size_t>(std::ranges::count_if(down, [](const auto& d) { return d.second; }));
  // One that answers and only lags, as whoever has just caught up does for some seconds, is no zone that is down.
  const Observation* own = of(node);
  if (own != nullptr && lags_only(*own)) return false;
  return words >= needed();
}

bool Sight::ill(NodeId node) const {
  std::size_t words = 0;
  if (gives_no_point(node, words)) return true;
  const Observation* own = of(node);
  return own != nullptr &&
         std::ranges::any_of(own->components, [](const auto& part) { return is_broken(part.first, part.second); });
}

bool Sight::has_stand_in(NodeId node) const {
  return std::ranges::any_of(cluster.nodes, [&](const auto& other) {
    return other.first != node && other.second == region_of(node) && of(other.first) != nullptr && !ill(other.first) &&
           picture.shares.of_node(name(other.first)) > 0;
  });
}

Member Sight::member(RegionId region) const {
  const auto known = picture.members.find(region);
  return known == picture.members.end() ? Member{} : known->second;
}

int Sight::others_serving(RegionId region) const {
  return static_cast<int>(std::ranges::count_if(cluster.regions, [&](const auto& other) {
    return other.first != region && member(other.first).standing == Standing::kServing &&
           picture.shares.of(other.second) > 0 && heard(other.first) && !confirmed_out(other.first);
  }));
}

double Sight::utilisation_without(RegionId region) const {
  double busy = 0, cores = 0;
  for (const Observation* one : all()) {
    busy += one->load.busy;
    const RegionId of = region_of(one->node);
    if (of != region && member(of).standing == Standing::kServing && !confirmed_out(of)) cores += one->load.cores;
  }
  return cores > 0 ? busy / cores : 0;
}

std::string Sight::name(RegionId region) const {
  const auto known = cluster.regions.find(region);
  return known == cluster.regions.end() ? "region " + std::to_string(region.value) : known->second;
}

std::string Sight::name(NodeId node) const { return name(region_of(node)) + "/" + std::to_string(node.value % 256); }

std::vector<Finding> detect(const Sight& sight) {
  std::vector<Finding> found;
  detect_regions(sight, found);
  detect_zones(sight, found);
  detect_components(sight, found);
  detect_partitions(sight, found);
  detect_database(sight, found);
  return found;
}

}  // namespace evercert::recovery
