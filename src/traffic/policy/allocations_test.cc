// SPDX-License-Identifier: Apache-2.0
// What is decided with each request takes no memory: counted, not believed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include "traffic/policy/canary.h"
#include "traffic/policy/rate_limit.h"
#include "traffic/policy/subset.h"
#include "traffic/policy/upstream.h"
#include "traffic/policy/weighted_round_robin.h"

namespace {

std::uint64_t g_allocations = 0;

void* counted(std::size_t size) {
  ++g_allocations;
  void* out = std::malloc(size == 0 ? 1 : size);
  if (out == nullptr) throw std::bad_alloc();
  return out;
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }

namespace evercert::traffic {
namespace {

constexpr Instant kStart{1'000'000'000};

TEST(Allocations, TheCounterCounts) {
  const std::uint64_t before = g_allocations;
  const auto text = std::make_unique<std::string>(100, 'x');
  EXPECT_EQ(g_allocations, before + 2);
}

TEST(Allocations, ARequestThroughTheUpstreamTakesNone) {
  Upstream upstream({}, 1);
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(upstream.add(static_cast<Distance>(i % 3)));
  std::uint64_t chance = 1, decided = 0;
  const std::uint64_t before = g_allocations;
  for (int i = 0; i < 200'000; ++i) {
    const Instant now = kStart + i * 1ms;
    const auto of = static_cast<Criticality>(i % 8);
    upstream.waited(1ms, now);
    if (!upstream.admits(of, now)) continue;
    upstream.request();
    Upstream::Tried tried;
    chance = mix(chance + 1);
    const auto pick = upstream.pick(tried, true, true, chance, now);
    if (!pick) continue;
    const auto attempt = upstream.started(pick->endpoint, of, now);
    decided += upstream.timeout(of, now).count() > 0 ? 1 : 0;
    if (upstream.hedge_after(of, now) && upstream.take_hedge(now)) ++decided;
    upstream.finished(attempt, static_cast<Outcome>(chance >> 60 < 6 ? chance >> 60 : 0), now + 5ms);
    if (i % 500 == 0) upstream.checked(static_cast<std::size_t>(i / 500 % 12), i % 1000 == 0, now);
    if (upstream.take_retry(now)) ++decided;
  }
  EXPECT_EQ(g_allocations, before);
  EXPECT_GT(decided, 100'000u) << "the test has tested something";
}

TEST(Allocations, LimitsTurnsAndReleasesTakeNone) {
  RateLimit limit({}, {1, 2});
  Canary canary;
  canary.begin(1000);
  WeightedRoundRobin turns;
  for (const std::uint32_t weight : {1, 2, 3}) turns.add(weight);
  std::uint64_t admitted = 0;
  const std::uint64_t before = g_allocations;
  for (int i = 0; i < 100'000; ++i) {
    const Instant now = kStart + i * 1ms;
    admitted += limit.ask({"client", "2001:db8::1", "account"}, 1, now).admitted ? 1 : 0;
    limit.adapt(i % 3 == 0, now);
    const auto release = canary.choose(static_cast<std::uint64_t>(i));
    canary.finished(release, false, 5ms, now);
    admitted += *turns.next() == 0 ? 1 : 0;
  }
  EXPECT_EQ(g_allocations, before);
  EXPECT_GT(admitted, 1000u);
}

}  // namespace
}  // namespace evercert::traffic
