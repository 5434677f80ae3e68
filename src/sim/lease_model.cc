// SPDX-License-Identifier: Apache-2.0
#include "sim/lease_model.h"

#include <algorithm>
#include <array>
#include <deque>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "store/lease.h"

namespace evercert::sim {
namespace {

using store::AckBook;
using store::Bug;
using store::LeaseHolder;
using store::Position;
using store::PromiseBook;
using store::RegionSet;

constexpr int kReplicas = 3;
constexpr int kReader = 2;  // the replica of region 3
constexpr Duration kTick = 1000us;
// A holder counts one tick of the two that were promised.
constexpr store::LeaseTiming kTiming{2 * kTick, kTick, kTick, 0.5};

NodeId node(int replica) { return node_id(RegionId{static_cast<std::uint8_t>(replica + 1)}, 1); }
std::string name(int replica) { return std::to_string(replica + 1); }

const store::Layout& layout() {
  static const store::Layout three{{node(0), node(1), node(2)}, 3};
  return three;
}

// A log is the write, or a leader's empty entry, or both: the terms of its entries, and which of them is the write.
struct LogState {
  std::vector<std::uint8_t> terms;
  int write = -1;  // its position

  Position last() const { return terms.empty() ? Position{} : Position{Term{terms.back()}, LogIndex{terms.size()}}; }
  bool has_write() const { return write >= 0; }
  std::string describe() const {
    std::string text(1, static_cast<char>('a' + write + 1));
    for (const auto term : terms) text += static_cast<char>('0' + term);
    return text;
  }
};

struct Ack {
  std::uint8_t term = 0;
  int to = 0;
  std::size_t index = 0;
  RegionSet regions = 0;
};
struct Grant {
  Position floor;
  Instant sent;
};

struct Replica {
  Replica(int self, Bug bug)
      : promises(layout(), node(self), kTiming, Instant{kBegin} - 2 * kTiming.ttl, Position{}, bug),
        acks(layout(), bug) {}
  static constexpr std::int64_t kBegin = 1'000'000;

  std::uint8_t term = 1;
  bool leads = false;
  LogState log;
  std::size_t commit = 0;
  std::size_t acknowledged = 0;                  // to the leader of this term
  std::array<std::size_t, kReplicas> matched{};  // what the others have acknowledged to this leader in its term
  PromiseBook promises;
  AckBook acks;
};

struct State {
  explicit State(Bug planted)
      : bug(planted),
        replicas{Replica(0, planted), Replica(1, planted), Replica(2, planted)},
        holder(layout(), node(kReader), kTiming, planted) {
    replicas[0].leads = true;
  }

  Bug bug;
  Instant now{Replica::kBegin};
  int restarts = 0, elections = 0;
  bool written = false, answered = false;
  std::array<Replica, kReplicas> replicas;
  LeaseHolder holder;
  // On the way, for as long as one likes: the last one sent of each kind. The one before it is lost.
  std::array<std::optional<Ack>, kReplicas> acks;      // by sender
  std::array<std::optional<Grant>, kReplicas> grants;  // by giver

  std::string key() const;
  bool holds_invariant() const { return !answered || !holder.leased(now) || replicas[kReader].log.has_write(); }
};

std::string at(Position p) { return std::to_string(p.term.value) + "." + std::to_string(p.index.value); }

// Times are relative to now, so that time has no end and the states are yet finite.
std::string State::key() const {
  std::string text{static_cast<char>('0' + restarts), static_cast<char>('0' + elections), written ? 'w' : '-',
                   answered ? 'a' : '-'};
  for (const Replica& r : replicas) {
    text += "|" + std::to_string(r.term) + (r.leads ? "L" : "f") + r.log.describe() + "," + std::to_string(r.commit) +
            "," + std::to_string(r.acknowledged) + r.promises.describe(now) + r.acks.describe();
  }
  text += "|" + holder.describe(now);
  for (int i = 0; i < kReplicas; ++i) {
    if (acks[i]) {
      text += "k" + std::to_string(i) + std::to_string(acks[i]->term) + std::to_string(acks[i]->to) +
              std::to_string(acks[i]->index) + "," + std::to_string(acks[i]->regions);
    }
    if (grants[i])
      text += "g" + std::to_string(i) + at(grants[i]->floor) + "," + std::to_string((now - grants[i]->sent).count());
  }
  return text;
}

// All that can happen next.
class Successors {
 public:
  Successors(const State& state, const ModelBounds& bounds) : state_(state), bounds_(bounds) {}

  template <class Visit>
  void each(Visit&& visit) {
    const auto go = [&](std::string what, auto&& change) {
      State next = state_;
      if (!change(next)) return;
      for (int i = 0; i < kReplicas; ++i) settle(next, i);
      visit(std::move(what), std::move(next));
    };
    go("a tick of time", [&](State& s) {
      s.now = s.now + kTick;
      // A promise that comes later than it holds says nothing; the bug that counts from receipt believes it at any age.
      for (auto& grant : s.grants) {
        if (grant && s.now - grant->sent > 2 * kTiming.ttl) grant.reset();
      }
      return true;
    });
    const int newest = std::max({term(0), term(1), term(2)});
    for (int i = 0; i < kReplicas; ++i) {
      const Replica& r = state_.replicas[i];
      if (r.leads && !state_.written) go(name(i) + " is asked to write", [&](State& s) { return write(s, i); });
      if (state_.restarts < bounds_.restarts) go(name(i) + " restarts", [&](State& s) { return restart(s, i); });
      if (state_.acks[i])
        go("the acknowledgement of " + name(i) + " arrives", [&](State& s) { return take_ack(s, i); });
      if (!r.leads && r.acknowledged > 0)
        go(name(i) + " repeats its acknowledgement", [&](State& s) { return repeat_ack(s, i); });
      for (int j = 0; j < kReplicas; ++j) {
        if (i == j) continue;
        if (r.leads && !r.log.terms.empty() && r.term >= term(j))
          go(name(j) + " takes the log of " + name(i), [&](State& s) { return append_to(s, i, j); });
        if (state_.elections < bounds_.elections && r.log.last() >= state_.replicas[j].log.last())
          go(name(i) + " is elected by " + name(j), [&](State& s) { return elect(s, i, j, newest + 1); });
      }
      if (i == kReader) continue;
      go(name(i) + " promises", [&](State& s) { return promise(s, i); });
      if (state_.grants[i]) go("the promise of " + name(i) + " arrives", [&](State& s) { return take_grant(s, i); });
    }
  }

 private:
  int term(int i) const { return state_.replicas[i].term; }
  static void log_moved(State& s, int i) {
    s.replicas[i].promises.log_at(s.replicas[i].log.last(), s.now);
    if (i == kReader) s.holder.own_log_at(s.replicas[i].log.last());
  }
  static void append(State& s, int i, bool is_write) {
    Replica& r = s.replicas[i];
    r.log.terms.push_back(r.term);
    if (is_write) r.log.write = static_cast<int>(r.log.terms.size()) - 1;
    log_moved(s, i);
  }

  static bool write(State& s, int i) {
    s.written = true;
    append(s, i, true);
    if (s.bug == Bug::kAckOnAppend) s.answered = true;
    return true;
  }
  static bool restart(State& s, int i) {
    ++s.restarts;
    Replica& r = s.replicas[i];
    r.leads = false;
    r.acknowledged = 0;
    r.commit = 0;
    r.acks.clear();
    r.matched = {};
    r.promises = PromiseBook(layout(), node(i), kTiming, s.now, r.log.last(), s.bug);
    if (i == kReader) {
      s.holder = LeaseHolder(layout(), node(i), kTiming, s.bug);
      s.holder.own_log_at(r.log.last());
    }
    return true;
  }
  static bool elect(State& s, int i, int voter, int new_term) {
    ++s.elections;
    enter(s.replicas[voter], static_cast<std::uint8_t>(new_term));
    enter(s.replicas[i], static_cast<std::uint8_t>(new_term));
    s.replicas[i].leads = true;
    append(s, i, false);
    return true;
  }
  static void enter(Replica& r, std::uint8_t term) {
    if (r.term == term) return;
    r.term = term;
    r.leads = false;
    r.acknowledged = 0;
    r.acks.clear();
    r.matched = {};
  }

  static bool append_to(State& s, int leader, int i) {
    const Replica& l = s.replicas[leader];
    Replica& r = s.replicas[i];
    enter(r, l.term);
    r.leads = false;
    // Raft's log matching: what agrees stays, also when it is longer; what differs goes.
    const auto& mine = r.log.terms;
    const auto& theirs = l.log.terms;
    const std::size_t both = std::min(mine.size(), theirs.size());
    const bool agree = std::equal(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(both), theirs.begin());
    if (!agree || mine.size() < theirs.size()) {
      r.log = l.log;
      log_moved(s, i);
    }
    r.commit = std::max(r.commit, l.commit);
    r.acknowledged = theirs.size();
    s.acks[i] = Ack{l.term, leader, theirs.size(), r.promises.promised(s.now)};
    return true;
  }
  static bool repeat_ack(State& s, int i) {
    Replica& r = s.replicas[i];
    for (int j = 0; j < kReplicas; ++j) {
      if (s.replicas[j].leads && s.replicas[j].term == r.term) {
        s.acks[i] = Ack{r.term, j, r.acknowledged, r.promises.promised(s.now)};
        return true;
      }
    }
    return false;
  }
  static bool take_ack(State& s, int i) {
    const Ack ack = *std::exchange(s.acks[i], std::nullopt);
    Replica& r = s.replicas[ack.to];
    if (!r.leads || r.term != ack.term) return true;
    r.acks.acknowledged(node(i), LogIndex{ack.index}, ack.regions);
    r.matched[i] = std::max(r.matched[i], ack.index);
    return true;
  }

  // The way of the request adds nothing to that of the answer but an older end of the log.
  static bool promise(State& s, int i) {
    const auto floor = s.replicas[i].promises.request(RegionId{kReader + 1}, s.holder.region_position(), s.now);
    if (floor) s.grants[i] = Grant{*floor, s.now};
    return floor.has_value();
  }
  static bool take_grant(State& s, int i) {
    const Grant grant = *std::exchange(s.grants[i], std::nullopt);
    s.holder.granted(node(i), grant.floor, grant.sent, s.now);
    return true;
  }

  // A leader commits what a majority has of its own term, and answers what may be answered, as Group::settle does.
  static void settle(State& s, int i) {
    Replica& r = s.replicas[i];
    if (!r.leads || r.log.terms.empty()) return;
    r.acks.acknowledged(node(i), LogIndex{r.log.terms.size()}, r.promises.promised(s.now));
    for (std::size_t index = r.log.terms.size(); index > r.commit; --index) {
      std::size_t have = 1;
      for (int j = 0; j < kReplicas; ++j) have += j != i && r.matched[j] >= index ? 1 : 0;
      if (r.log.terms[index - 1] == r.term && have >= layout().majority()) r.commit = index;
    }
    const LogIndex upto = r.acks.answerable(LogIndex{r.commit});
    if (upto > LogIndex{0} && r.log.has_write() && static_cast<std::uint64_t>(r.log.write) < upto.value)
      s.answered = true;
  }

  const State& state_;
  const ModelBounds& bounds_;
};

// Steps by number, so that millions of them can be kept.
class Steps {
 public:
  std::uint32_t number(const std::string& step) {
    const auto [known, is_new] = numbers_.try_emplace(step, static_cast<std::uint32_t>(names_.size()));
    if (is_new) names_.push_back(step);
    return known->second;
  }
  const std::string& name_of(std::uint32_t number) const { return names_[number]; }

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<std::string> names_;
};

struct Visited {
  std::uint32_t parent;
  std::uint32_t step;
};

}  // namespace

ModelReport explore(const ModelBounds& bounds, Bug bug) {
  ModelReport report;
  Steps steps;
  std::unordered_set<std::size_t> seen;
  std::vector<Visited> visited{{0, 0}};
  std::deque<std::pair<std::uint32_t, State>> frontier;
  frontier.emplace_back(0, State(bug));
  seen.insert(std::hash<std::string>{}(frontier.front().second.key()));
  while (!frontier.empty() && !report.violation) {
    // Breadth first finds the shortest way to a planted bug; depth first needs less memory for all there is.
    const bool deep = bug == Bug::kNone;
    const auto [parent, state] = std::move(deep ? frontier.back() : frontier.front());
    deep ? frontier.pop_back() : frontier.pop_front();
    ++report.states;
    if (report.states >= bounds.states) {
      report.complete = false;
      break;
    }
    Successors(state, bounds).each([&](const std::string& step, State next) {
      ++report.steps;
      if (report.violation || !seen.insert(std::hash<std::string>{}(next.key())).second) return;
      visited.push_back({parent, steps.number(step)});
      const auto here = static_cast<std::uint32_t>(visited.size() - 1);
      if (!next.holds_invariant()) {
        report.violation.emplace();
        for (std::uint32_t at = here; at != 0; at = visited[at].parent) {
          report.violation->insert(report.violation->begin(), steps.name_of(visited[at].step));
        }
        return;
      }
      frontier.emplace_back(here, std::move(next));
    });
  }
  return report;
}

const std::vector<ModelBounds>& bounds_of_the_model() {
  static const std::vector<ModelBounds> all{{.restarts = 0, .elections = 0},
                                            {.restarts = 1, .elections = 0},
                                            {.restarts = 0, .elections = 1},
                                            {.restarts = 1, .elections = 1}};
  return all;
}

const std::vector<Bug>& bugs_of_the_model() {
  static const std::vector<Bug> bugs{Bug::kGrantWithoutLogCheck, Bug::kCountFromReceipt, Bug::kIgnorePromises,
                                     Bug::kAckOnAppend,          Bug::kOldFloor,         Bug::kForgetPromises};
  return bugs;
}

}  // namespace evercert::sim
