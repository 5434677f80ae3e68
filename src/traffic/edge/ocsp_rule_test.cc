// SPDX-License-Identifier: Apache-2.0
// A small world around OcspCopies, drawn from a seed: two nodes with a log's tail, leases that come and go, revocations
// that are acknowledged before they are applied, answers and checks that take their time. The rule that must hold: who
// asks after a revocation was acknowledged is never told "good". Planted bugs must be found.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "ca/status_changes.h"
#include "traffic/edge/ocsp_copies.h"

namespace evercert::traffic {
namespace {

constexpr int kGroups = 2, kSerials = 6;
constexpr int kUsualDelay = 5, kLongDelay = 40;  // in steps

std::string serial_of(int n) { return {static_cast<char>(1 + n % kGroups), static_cast<char>('a' + n)}; }

struct Node {
  explicit Node(std::uint64_t incarnation) : changes(std::make_unique<ca::StatusChanges>(incarnation, 3)) {}
  std::set<int> revoked;  // applied
  std::vector<int> tail;  // in the log, not applied
  bool leased[kGroups + 1] = {};
  std::unique_ptr<ca::StatusChanges> changes;

  bool knows(int n) const { return revoked.contains(n) || std::find(tail.begin(), tail.end(), n) != tail.end(); }
};

class World {
 public:
  World(std::uint64_t seed, OcspBug bug) : chance_(seed), copies_(1 << 20, bug) {
    for (auto& node : nodes_) {
      for (int g = 1; g <= kGroups; ++g) node.leased[g] = true;
    }
  }

  bool run(int steps) {
    for (step_ = 0; step_ < steps && !violated_; ++step_) act();
    return !violated_;
  }
  int from_copies() const { return from_copies_; }

 private:
  struct Waiting : OcspWaiter {
    int serial = 0, begun = 0;
  };
  // A message on its way, or a handler at work: runs when its time has come.
  struct Later {
    int at;
    std::function<void()> what;
  };

  int below(int n) { return static_cast<int>(chance_() % static_cast<unsigned>(n)); }
  Instant now() const { return Instant{1'000'000 + step_ * 1000}; }
  void later(std::function<void()> what, int most = kUsualDelay) {
    later_.push_back({step_ + 1 + below(most), std::move(what)});
  }

  void act() {
    std::vector<Later> due;
    std::erase_if(later_, [&](Later& one) {
      if (one.at > step_) return false;
      due.push_back(std::move(one));
      return true;
    });
    for (auto& one : due) one.what();
    switch (below(20)) {
      case 0: return revoke(below(kSerials));
      case 1: return acknowledge();
      case 2:
      case 3:
      case 4: return apply(nodes_[below(2)]);
      case 5: return lose_lease();
      case 6:
      case 7: return regain_lease();
      case 8: return below(4) == 0 ? restart(nodes_[below(2)]) : void();
      case 9: return below(4) == 0 ? take_snapshot(nodes_[below(2)]) : void();
      case 10: checked_ = below(8) == 0 ? 1 - checked_ : checked_; return;  // the edge asks the other node
      default: return ask(below(kSerials));
    }
  }

  // --- the store

  void revoke(int n) {
    if (revoking_.contains(n)) return;
    revoking_.insert(n);
    for (auto& node : nodes_) {
      if (node.leased[1 + n % kGroups] || below(2) == 0) node.tail.push_back(n);
    }
  }
  // Only when it is in the log of every node that holds the lease.
  void acknowledge() {
    for (const int n : revoking_) {
      if (acknowledged_.contains(n) || below(2) == 0) continue;
      const bool everywhere = std::all_of(std::begin(nodes_), std::end(nodes_), [&](const Node& node) {
        return !node.leased[1 + n % kGroups] || node.knows(n);
      });
      if (everywhere) acknowledged_[n] = step_;
      return;
    }
  }
  void apply(Node& node) {
    if (node.tail.empty()) return;
    const int n = node.tail.front();
    // The order of the store: state, caches, the list of changes; then the tail.
    node.revoked.insert(n);
    node.changes->changed(serial_of(n));
    node.tail.erase(node.tail.begin());
  }
  void lose_lease() { nodes_[below(2)].leased[1 + below(kGroups)] = false; }
  void regain_lease() {
    Node& node = nodes_[below(2)];
    const int g = 1 + below(kGroups);
    if (node.leased[g]) return;
    for (const int n : revoking_) {
      if (1 + n % kGroups == g && !node.knows(n)) node.tail.push_back(n);
    }
    node.leased[g] = true;
  }
  void restart(Node& node) {
    node.changes = std::make_unique<ca::StatusChanges>(++last_incarnation_, 3);
    for (int g = 1; g <= kGroups; ++g) node.leased[g] = false;
  }
  void take_snapshot(Node& node) {
    for (const bool leased : {node.leased[1], node.leased[2]}) {
      if (leased) return;  // a node that needs one has none
    }
    for (const auto& [n, when] : acknowledged_) node.revoked.insert(n);
    node.tail.clear();
    node.changes->replaced(++last_incarnation_);
  }

  // --- the edge

  void ask(int n) {
    const std::string key = "/ocsp/" + serial_of(n);
    auto copy = copies_.find(key, now());
    if (copy == nullptr) return fetch(n, nodes_[checked_]);
    waiting_.push_back(std::make_unique<Waiting>());
    Waiting& waiting = *waiting_.back();
    waiting.copy = std::move(copy);
    waiting.serial = n;
    waiting.begun = step_;
    if (copies_.join(waiting)) later([this] { check(); });
  }

  void check() {
    const auto asked = copies_.leave();
    Node& node = nodes_[checked_];
    later([this, asked, &node] {  // it has come: first the lease is seen, then the tail, then the changes
      auto news = std::make_shared<net::v1::OcspNews>();
      std::uint64_t fresh = 0;
      for (int g = 1; g <= kGroups; ++g) fresh |= node.leased[g] ? std::uint64_t{1} << g : 0;
      news->set_fresh_groups(fresh);
      later([this, asked, news, &node] {
        for (const int n : node.tail) news->add_pending(serial_of(n));
        later([this, asked, news, &node] {
          const auto told = node.changes->since({asked.since().incarnation(), asked.since().number()});
          news->mutable_position()->set_incarnation(told.position.incarnation);
          news->mutable_position()->set_number(told.position.number);
          news->set_everything(told.everything);
          for (const auto& serial : told.serials) news->add_changed(serial);
          later([this, news] { checked(below(10) == 0 ? nullptr : news.get()); });
        });
      });
    });
  }

  void checked(const net::v1::OcspNews* news) {
    for (OcspWaiter* settled : copies_.ended(news, now())) {
      const Waiting& waiting = static_cast<const Waiting&>(*settled);
      if (!settled->confirmed) continue;
      ++from_copies_;
      const auto acknowledged = acknowledged_.find(waiting.serial);
      const bool too_late = acknowledged != acknowledged_.end() && acknowledged->second < waiting.begun;
      if (too_late && *settled->copy->der == "good") violated_ = true;
    }
    if (copies_.wanted()) later([this] { check(); });
  }

  // A node answers by itself: fresh, nothing pending about this one, then position, then state.
  void fetch(int n, Node& node) {
    later([this, n, &node] {
      if (!node.leased[1 + n % kGroups]) return;  // answered as stale: not kept
      if (std::find(node.tail.begin(), node.tail.end(), n) != node.tail.end()) return fetch(n, node);
      net::v1::OcspStamp stamp;
      stamp.mutable_position()->set_incarnation(node.changes->position().incarnation);
      stamp.mutable_position()->set_number(node.changes->position().number);
      stamp.set_serial(serial_of(n));
      stamp.set_certificate_id("id" + serial_of(n));
      stamp.set_renew_in_s(1 + below(3));
      stamp.set_expires_in_s(5);
      auto der = std::make_shared<const std::string>(node.revoked.contains(n) ? "revoked" : "good");
      later([this, n, stamp, der] { copies_.fetched("/ocsp/" + serial_of(n), stamp, der, now()); },
            below(3) == 0 ? kLongDelay : kUsualDelay);
    });
  }

  std::mt19937_64 chance_;
  OcspCopies copies_;
  Node nodes_[2] = {Node(1), Node(2)};
  std::uint64_t last_incarnation_ = 2;
  int checked_ = 0, step_ = 0, from_copies_ = 0;
  std::set<int> revoking_;
  std::map<int, int> acknowledged_;  // and when
  std::vector<Later> later_;
  std::vector<std::unique_ptr<Waiting>> waiting_;
  bool violated_ = false;
};

constexpr int kSteps = 250;

TEST(OcspRule, NobodyIsToldGoodWhoAskedAfterARevocationWasAcknowledged) {
  int from_copies = 0;
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    World world(seed, OcspBug::kNone);
    ASSERT_TRUE(world.run(kSteps)) << "seed " << seed;
    from_copies += world.from_copies();
  }
  EXPECT_GT(from_copies, 40'000) << "copies are used";
}

class PlantedOcspBug : public ::testing::TestWithParam<OcspBug> {};
TEST_P(PlantedOcspBug, IsFound) {
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    if (!World(seed, GetParam()).run(kSteps)) return;
  }
  FAIL() << "the simulation does not see it";
}
INSTANTIATE_TEST_SUITE_P(All, PlantedOcspBug,
                         ::testing::Values(OcspBug::kJoinUnderWay, OcspBug::kIgnorePending, OcspBug::kIgnoreEverything,
                                           OcspBug::kKeepLate, OcspBug::kIgnoreGroups, OcspBug::kForgetIncarnation));

}  // namespace
}  // namespace evercert::traffic
