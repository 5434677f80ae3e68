// SPDX-License-Identifier: Apache-2.0
// Regions that die, are sick, lie and flap; a key space with a lock, a membership record with epochs; controllers that
// are elected, crash, and stand still while what they had sent is still on its way. All on virtual time, from one seed.
// The sessions are those of production; what they decide about is made here, and checked as it happens.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "recovery/failover/session.h"

namespace evercert::recovery {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed * 2654435761u + 88172645463325252ull) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ull;
    std::uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  Duration between(Duration low, Duration high) {
    return low + Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>((high - low).count() + 1))));
  }

 private:
  std::uint64_t state_;
};

struct WorldFacts {
  std::uint64_t diverted = 0, returned = 0, fell_back = 0, elections = 0, adopted_pending = 0, refused_writes = 0,
                zombie_effects = 0, closed = 0, approvals = 0, late_changes = 0, words = 0, plans_ended = 0,
                nodes_diverted = 0, nodes_returned = 0, trimmed = 0, majorities_lost = 0;
};

class World {
 public:
  World(std::uint64_t seed, Bug bug);
  // Runs faults for a while, then lets everything be well, and looks whether all ends. The first promise that was
  // broken; empty: none was.
  std::string run();
  const WorldFacts& facts() const { return facts_; }
  // The last entries of the log, for whoever looks into a failure.
  std::string history(std::size_t most) const;

 private:
  struct Region {
    bool up = true, sick = false, liar = false, failing = false;  // failing: errors while traffic returns
    Instant changed{}, failing_since{}, out_until{}, last_bad{INT64_MIN / 4}, recovering_until{};
    Standing standing = Standing::kServing;
    std::string by;
    std::string request_id;
    std::uint64_t epoch = 1;
    Standing before = Standing::kServing;
    std::string before_by;
    // The last word of a person, unless a controller has changed it since.
    Member::Word word;
    Instant word_at{};
  };
  struct Node {
    bool down = false, broken = false;  // broken: a component, by its own word
    Instant last_bad{INT64_MIN / 4};
    Instant bad_since{};
    Instant share_changed{INT64_MIN / 4};
  };
  struct Entry {
    std::string value;
    std::int64_t modified = 0;
  };
  struct Process {
    std::unique_ptr<Session> session;
    std::int64_t token = 0;
    Instant asleep_until{}, deaf_until{};
    bool busy = false;
    std::uint64_t life = 0;
    std::map<NodeId, Seen> seen;
    Duration skew{0};
  };

  void at(Instant when, std::function<void()> what);
  void say(const std::string& promise) {
    if (broken_.empty()) broken_ = "at " + std::to_string(now_.us / 1000) + " ms: " + promise;
  }
  void misfortune();
  void misfortune_of_a_node(RegionId region);
  void majority_dies();
  bool majority() const {
    return std::ranges::count_if(regions_, [](const auto& r) { return r.second.up; }) * 2 >
           static_cast<std::ptrdiff_t>(regions_.size());
  }
  bool ill(const Region& region) const {
    return !region.up || region.sick || !majority() || now_ < region.recovering_until;
  }
  void fate_of_regions();
  void elect();
  void tick(std::size_t process);
  void look(std::size_t process);
  Picture picture_of(Process& process);
  Observation observation(NodeId node);
  // `epoch`: that of the picture by which it was decided.
  void write(std::size_t process, const Write& write, std::uint64_t life, std::uint64_t epoch);
  void apply(const Write& write, std::uint64_t epoch);
  void person_says(Region& region, Standing wanted);
  void person_changes(RegionId id);
  bool person_since(const Incident& incident, const Region& region) const;
  void carry_out(std::size_t process, const Effect& effect);
  Result<std::string> change_membership(const Effect& effect, std::int64_t sender);
  void check_shares(const traffic::Shares& before, const traffic::Shares& after, const State& state,
                    std::uint64_t epoch);
  void check_node_shares(const traffic::Shares& before, const traffic::Shares& after, const State& state);
  void check_words(const State& state, std::uint64_t epoch);
  void check_state(const State& state);
  void check_end();
  State recorded() const;
  traffic::Shares shares() const;
  bool truly_out(RegionId region, Duration within) const;
  Times times(const Process& process) const {
    return {now_, WallTime{1'700'000'000'000 + (now_ + process.skew).us / 1000}};
  }
  bool region_alive(std::size_t process) const;

  Chance chance_;
  const Bug bug_;
  Cluster cluster_;
  Policy policy_;
  WorldFacts facts_;
  std::string broken_;
  Instant now_{1'000'000'000};
  const bool majority_may_die_;
  bool calm_ = false;
  std::multimap<Instant, std::function<void()>> events_;
  std::map<RegionId, Region> regions_;
  std::map<NodeId, Node> nodes_;
  std::uint64_t epoch_ = 1;
  // the key space
  std::map<std::string, Entry> space_;
  std::int64_t revision_ = 1, lock_ = 0;
  std::size_t holder_ = 0;
  Instant lease_end_{};
  std::vector<Process> processes_;
  std::map<RegionId, Instant> share_changed_;
  std::uint64_t entries_ = 0;
  std::set<std::string> told_;  // what the log has: incident and text
};

}  // namespace evercert::recovery
