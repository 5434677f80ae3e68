// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/view.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "traffic/shares/shares.h"

namespace evercert::traffic::dns {
namespace {

// Light in fibre takes 10 us there and back for a kilometre; cables are not straight. Measured round trips between
// us-east-1, us-west-2 and eu-central-1 are 14 to 17 us for a kilometre of the great circle.
constexpr double kMsPerKilometre = 0.016;
// "About as near": a client does not notice, and weights may decide.
constexpr double kNearFactor = 1.1, kNearMs = 10;

// Rendezvous hashing with weights: among any set of regions each wins a share of the prefixes in proportion to its
// weight, and who loses one region moves nobody else. (Thaler and Ravishankar 1998; weights as in Schindelhauer and
// Schomaker 2005.)
double score(std::uint64_t hashed, double weight) {
  if (weight <= 0) return -1;
  const double uniform = (static_cast<double>(hashed >> 11) + 0.5) / 9007199254740992.0;
  return weight / -std::log(uniform);
}

}  // namespace

View::View(std::vector<RegionFacts> facts, Policy policy) : facts_(std::move(facts)), policy_(policy) {
  EC_CHECK(!facts_.empty() && facts_.size() <= kMostRegions, "an answer names regions by a byte");
  for (const RegionFacts& region : facts_) {
    EC_CHECK(!region.edges.empty() && region.edges.size() <= kMostEdges, "an answer names edges by a byte");
    RegionState state;
    for (const EdgeFacts& edge : region.edges) state.serving.push_back(!edge.spare);
    EC_CHECK(std::count(state.serving.begin(), state.serving.end(), true) > 0,
             "a region has an edge that is not spare");
    states_.push_back(std::move(state));
    priorities_.push_back(region.priority);
  }
  std::sort(priorities_.begin(), priorities_.end());
  priorities_.erase(std::unique(priorities_.begin(), priorities_.end()), priorities_.end());
}

double kilometres(Coordinates a, Coordinates b) {
  constexpr double kRadius = 6371, kDegree = std::numbers::pi / 180;
  const double north = std::sin((b.latitude - a.latitude) * kDegree / 2);
  const double east = std::sin((b.longitude - a.longitude) * kDegree / 2);
  const double h = north * north + std::cos(a.latitude * kDegree) * std::cos(b.latitude * kDegree) * east * east;
  return 2 * kRadius * std::asin(std::min(1.0, std::sqrt(h)));
}

struct View::Candidate {
  std::size_t region = 0;
  double cost = 0, score = 0, weight = 0;
  std::size_t serving = 0;
};

std::vector<std::size_t> View::serving_edges(std::size_t region) const {
  std::vector<std::size_t> serving;
  const auto& flags = states_[region].serving;
  for (std::size_t e = 0; e < flags.size(); ++e) {
    if (flags[e]) serving.push_back(e);
  }
  return serving;
}

// The estimated round trip of the client to the region, as far as the policy asks for it.
double View::cost_ms(std::size_t region, const Place& place) const {
  if (policy_ == Policy::kWeighted) return 0;
  const RegionState& state = states_[region];
  const double excess = policy_ == Policy::kGeographic ? 0 : static_cast<double>(state.excess.count()) / 1000;
  std::optional<Coordinates> from = place.coordinates;
  if (place.region) {
    if (*place.region == region) return excess;
    from = facts_[*place.region].coordinates;
    if (!from || !facts_[region].coordinates) return 1000 + excess;  // not where the table sends it
  }
  if (from && facts_[region].coordinates)
    return kilometres(*from, *facts_[region].coordinates) * kMsPerKilometre + excess;
  // Nothing is known of the client: what is seen from here must do where latency alone is to decide.
  if (policy_ == Policy::kLatency) return static_cast<double>(state.measured.count()) / 1000;
  return excess;
}

// Best first. All of one priority. True: which client it is has made a difference, beside its place.
bool View::order(std::vector<Candidate>& candidates) const {
  const auto nearer = [](const Candidate& a, const Candidate& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.score > b.score;
  };
  const auto dearer_score = [](const Candidate& a, const Candidate& b) { return a.score > b.score; };
  std::sort(candidates.begin(), candidates.end(), nearer);
  bool hashed = std::adjacent_find(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
                  return a.cost == b.cost;
                }) != candidates.end();
  if (policy_ == Policy::kLatency || candidates.empty()) return hashed;
  const auto weightless =
      std::stable_partition(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.weight > 0; });
  const double limit = candidates.front().cost * kNearFactor + kNearMs;
  const auto far = std::find_if(candidates.begin(), weightless, [&](const Candidate& c) { return c.cost > limit; });
  if (far - candidates.begin() > 1) hashed = true;
  std::sort(candidates.begin(), far, dearer_score);
  return hashed;
}

bool View::shares_count() const {
  return std::any_of(states_.begin(), states_.end(),
                     [](const RegionState& state) { return state.in && state.share > 0; });
}

bool View::leads_to(std::size_t region) const {
  return states_[region].in && (states_[region].share > 0 || !shares_count());
}

Choice View::choose(const IpAddress& client, int known, const Place& place, std::size_t most) const {
  const int told_apart = client.v6 ? kNetworkBits6 : kNetworkBits4;
  const AddressPrefix prefix = prefix_of(client, std::min(known, told_apart));
  most = std::min(most, Choice::kMost);
  std::vector<Candidate> candidates;
  Choice choice;
  std::size_t in = 0;
  bool hashed = false, held_back = false;
  // Of the clients for which a region would be among the best, its share is led there, always the same ones, and more
  // as it grows.
  const auto admitted = [&](std::size_t r, bool by_shares) {
    const int share = by_shares ? states_[r].share : 100;
    if (share >= 100) return true;
    hashed |= share > 0;
    const bool is = turn_of(prefix, facts_[r].name) < share;
    held_back |= !is;
    return is;
  };
  const auto look = [&](bool by_shares) {
    for (const int priority : priorities_) {
      if (choice.count == most) break;
      candidates.clear();
      for (std::size_t r = 0; r < facts_.size(); ++r) {
        if (!states_[r].in || facts_[r].priority != priority || !admitted(r, by_shares)) continue;
        // A region with half of its edges gets half of its share.
        const auto serving = std::count(states_[r].serving.begin(), states_[r].serving.end(), true);
        const auto usual = std::count_if(facts_[r].edges.begin(), facts_[r].edges.end(),
                                         [](const EdgeFacts& edge) { return !edge.spare; });
        const double weight = facts_[r].weight * static_cast<double>(serving) / static_cast<double>(usual);
        candidates.push_back({r, cost_ms(r, place), score(client_hash(prefix, facts_[r].name), weight), weight,
                              static_cast<std::size_t>(serving)});
      }
      in += candidates.size();
      hashed |= order(candidates);
      for (const Candidate& candidate : candidates) {
        if (choice.count == most) break;
        EC_CHECK(candidate.serving > 0, "a region that is in has an edge that serves");
        hashed |= candidate.serving > 1;
        const std::uint64_t turn = client_hash(prefix, "edges of " + facts_[candidate.region].name) % candidate.serving;
        choice.regions[choice.count++] = {static_cast<std::uint8_t>(candidate.region), static_cast<std::uint8_t>(turn)};
      }
    }
  };
  look(shares_count());
  if (choice.count == 0 && held_back) look(false);
  // As narrow as the answer depends on the client, and no narrower.
  if (in > 1 && policy_ != Policy::kWeighted) choice.scope = place.scope;
  if (hashed) choice.scope = std::max(choice.scope, told_apart);
  choice.scope = std::min(choice.scope, client.bits());
  return choice;
}

}  // namespace evercert::traffic::dns
