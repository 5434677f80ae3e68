// SPDX-License-Identifier: Apache-2.0
// A name server behind links that come and go, in virtual time: the brain with the checks' own plan. EVERCERT_SEEDS=N
// runs more.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "traffic/dns/brain.h"
#include "traffic/dns/check_plan.h"

namespace evercert::traffic::dns {
namespace {

constexpr Instant kStart{1'000'000'000};
constexpr Duration kRun = 1800s, kShortestCut = 2500ms, kLongestTrip = 50ms;

// When a link is cut: spells in order.
struct Cut {
  Instant from, to;
};
struct Link {
  std::vector<Cut> cuts;
  // How long of the time there is no way, and when there is one next.
  std::optional<Instant> cut_until(Instant at) const {
    for (const Cut& cut : cuts) {
      if (at >= cut.from && at < cut.to) return cut.to;
    }
    return std::nullopt;
  }
  // Whether it was whole from `from` to `to`.
  bool whole(Instant from, Instant to) const {
    return std::none_of(cuts.begin(), cuts.end(), [&](const Cut& cut) { return cut.from < to && cut.to > from; });
  }
};

struct Change {
  Instant at;
  std::size_t region;
  bool in;
};

class Flapping {
 public:
  Flapping(std::uint64_t seed, Duration longest_good) : random_(seed), longest_good_(longest_good) {}

  Duration between(Duration least, Duration most) {
    return Duration(std::uniform_int_distribution<std::int64_t>(least.count(), most.count())(random_));
  }

  Link link() {
    Link link;
    // As long as a check is certain to be lost by a cut: what is shorter, a repeated segment gets over.
    for (Instant at = kStart + between(60s, 120s); at < kStart + kRun;) {
      const Instant end = at + between(kShortestCut, between(kShortestCut, 90s));
      link.cuts.push_back({at, end});
      at = end + between(100ms, between(200ms, longest_good_));
    }
    return link;
  }

  // One check is lost by each, and the next one, half a second after it, is not.
  Link short_cuts() {
    Link link;
    for (Instant at = kStart + between(60s, 120s); at < kStart + kRun;
         at = at + kShortestCut + between(5s, longest_good_))
      link.cuts.push_back({at, at + kShortestCut});
    return link;
  }

  // Changes of what is answered; the first region's link is never cut. `words`: the others are led nothing to by the
  // word of others, now and then, for 30 s and more.
  std::vector<Change> run(const std::vector<Link>& links, bool words = false) {
    std::vector<RegionFacts> facts(links.size());
    for (std::size_t r = 0; r < links.size(); ++r) {
      facts[r].name = std::string(1, static_cast<char>('a' + r));
      facts[r].endpoint = facts[r].name + ".api.test.";
      facts[r].edges = {{{*parse_address("192.0.2.1")}, 443}};
    }
    Brain brain(facts, Policy::kWeightedLatency, {}, kStart);
    const CheckPlan plan = plan_checks({});
    struct Check {
      Instant begun, ends;
      bool passed = false;
    };
    std::vector<Check> checks(links.size());
    const auto begin = [&](std::size_t r, Instant at) {
      const Duration takes = between(5ms, kLongestTrip);
      const auto until = links[r].cut_until(at);
      // Segments are repeated after 1 s and 3 s.
      checks[r] = {at, at + takes, true};
      if (!until) return;
      for (const Duration again : {1s, 3s}) {
        if (at + again >= *until && again + takes <= plan.timeout) {
          checks[r].ends = at + again + takes;
          return;
        }
      }
      checks[r].ends = at + plan.timeout;
      checks[r].passed = false;
    };
    for (std::size_t r = 0; r < links.size(); ++r) begin(r, kStart + between(0ms, 5s));
    std::vector<Change> changes;
    std::vector<bool> seen(links.size(), true);
    std::vector<int> shares(links.size(), 100);
    std::vector<Instant> turns(links.size());
    for (std::size_t r = 1; words && r < links.size(); ++r)
      turns[r] = links[r].cuts.empty() ? kStart + kRun : links[r].cuts[0].from + between(-24s, 200s);
    Instant tick = kStart;
    for (Instant now = kStart; now < kStart + kRun;) {
      std::size_t next = 0;
      for (std::size_t r = 1; r < links.size(); ++r) next = checks[r].ends < checks[next].ends ? r : next;
      if (tick < checks[next].ends) {
        now = tick;
        tick = tick + 1s;
        brain.tick(now);
        for (std::size_t r = 1; words && r < links.size(); ++r) {
          if (now < turns[r]) continue;
          shares[r] = shares[r] == 0 ? 100 : 0;
          turns[r] = now + between(30s, 200s);
          brain.set_shares(shares, "words", now);
        }
      } else {
        now = checks[next].ends;
        brain.checked(next, 0, {checks[next].passed, now - checks[next].begun, "lost"}, now);
        begin(next, next_check(plan, checks[next].begun, now, !checks[next].passed || brain.watched_closely(next)));
      }
      for (std::size_t r = 0; r < links.size(); ++r) {
        if (brain.view()->leads_to(r) == seen[r]) continue;
        seen[r] = !seen[r];
        changes.push_back({now, r, seen[r]});
      }
    }
    return changes;
  }

 private:
  std::mt19937_64 random_;
  Duration longest_good_;
};

std::uint64_t seeds() {
  const char* text = std::getenv("EVERCERT_SEEDS");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 200;
}

TEST(FlappingLinks, ARegionWhoseLinkIsNeverWholeForThirtySecondsChangesAnswersOnceWhateverIsSaidOfIt) {
  std::size_t left = 0;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    // With words, shorter by a check's interval: only from the next check on is a region watched closely.
    const bool words = seed % 2 == 0;
    Flapping world(seed, words ? 24s : 29s);
    const std::vector<Link> links{{}, world.link(), world.link()};
    const auto changes = world.run(links, words);
    std::array<int, 3> count{};
    for (const Change& change : changes) {
      ++count[change.region];
      EXPECT_FALSE(change.in) << "seed " << seed;
    }
    EXPECT_EQ(count[0], 0) << "seed " << seed;
    EXPECT_LE(std::max(count[1], count[2]), 1) << "seed " << seed;
    left += static_cast<std::size_t>(count[1] + count[2]);
  }
  EXPECT_GT(left, seeds()) << "or nothing was tested: most such links are noticed";
}

// By itself the region stays in: no two checks in a row fail. The word of others alone takes it out.
TEST(FlappingLinks, ARegionThatOthersCallOutStaysOutWhileItsOwnLinkFlapsTooShortlyForChecks) {
  std::size_t left = 0;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    Flapping world(seed, 24s);
    const std::vector<Link> links{{}, world.short_cuts(), {}};
    int count = 0;
    for (const Change& change : world.run(links, true)) {
      if (change.region != 1) continue;
      ++count;
      EXPECT_FALSE(change.in) << "seed " << seed;
    }
    EXPECT_LE(count, 1) << "seed " << seed;
    left += static_cast<std::size_t>(count);
  }
  EXPECT_EQ(left, seeds()) << "each is called out in time";
}

TEST(FlappingLinks, NoRegionComesBackWithinThirtySecondsAndNoneThatWasNotWellForThirty) {
  std::size_t returns = 0;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    Flapping world(seed, 300s);
    const std::vector<Link> links{{}, world.link(), world.link()};
    const auto changes = world.run(links);
    std::array<std::optional<Change>, 3> last;
    for (const Change& change : changes) {
      if (change.in) {
        ++returns;
        ASSERT_TRUE(last[change.region]);
        EXPECT_GE(change.at - last[change.region]->at, 30s) << "seed " << seed;
        EXPECT_TRUE(links[change.region].whole(change.at - 30s, change.at - kLongestTrip)) << "seed " << seed;
      } else if (last[change.region]) {
        // Going out is never delayed. What is out again soon had been whole for half a minute and more: no flapping.
        const Instant back = last[change.region]->at;
        EXPECT_FALSE(links[change.region].whole(back, change.at)) << "seed " << seed;
      }
      last[change.region] = change;
    }
  }
  EXPECT_GT(returns, seeds()) << "or nothing was tested";
}

TEST(FlappingLinks, ADeadRegionIsOutWithinTheDetectionTimeHoweverItHadFlapped) {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    Flapping world(seed, 120s);
    std::vector<Link> links{{}, world.link(), {}};
    const Instant dies = kStart + kRun - 60s;
    auto& cuts = links[1].cuts;
    while (!cuts.empty() && cuts.back().to >= dies) cuts.pop_back();
    cuts.push_back({dies, kStart + kRun});
    const auto changes = world.run(links);
    bool in = true;
    for (const Change& change : changes) {
      if (change.region != 1) continue;
      in = change.in;
      if (change.at > dies) {
        EXPECT_LE(change.at - dies, 10s) << "seed " << seed;
      }
    }
    EXPECT_FALSE(in) << "seed " << seed;
  }
}

// The name server's own link: all regions are lost and seen again together.
TEST(FlappingLinks, AServerWhoseOwnLinkIsLostForAWhileTakesNobodysClientsAway) {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    Flapping world(seed, 30s);
    Link own;
    own.cuts = {{kStart + 100s, kStart + 100s + world.between(15s, 600s)}};
    const auto changes = world.run({own, own, own});
    for (const Change& change : changes)
      EXPECT_LE(change.at - own.cuts[0].from, 10s) << "only before all were seen to be lost; seed " << seed;
    std::array<bool, 3> in{true, true, true};
    for (const Change& change : changes) in[change.region] = change.in;
    EXPECT_TRUE(in[0] && in[1] && in[2]) << "seed " << seed;
  }
}

}  // namespace
}  // namespace evercert::traffic::dns
