// SPDX-License-Identifier: Apache-2.0
#include "sim/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "sim/record_specs.h"
#include "sim/seeded_random.h"

namespace evercert::sim {
namespace {

// A first-in-first-out queue of letters: "enq x" -> "ok", "deq" -> "x".
class Queue : public Specification {
 public:
  std::string initial() const override { return ""; }
  std::optional<std::string> apply(const std::string& state, const Operation& op) const override {
    if (op.input.starts_with("enq ")) return state + op.input.substr(4);
    if (state.empty() || (op.returned && op.output != state.substr(0, 1))) return std::nullopt;
    return state.substr(1);
  }
};

// "write x" -> "ok", "read" -> "x", "cas x y" -> "ok" | "fail".
class Register : public Specification {
 public:
  std::string initial() const override { return "0"; }
  std::optional<std::string> apply(const std::string& state, const Operation& op) const override {
    if (op.input.starts_with("write ")) return op.input.substr(6);
    if (op.input == "read") return !op.returned || op.output == state ? std::optional(state) : std::nullopt;
    const bool swaps = op.input.substr(4, 1) == state;
    if (op.returned && (op.output == "ok") != swaps) return std::nullopt;
    return swaps ? op.input.substr(6) : state;
  }
};

Operation op(const char* client, int from, int to, const char* input, const char* output) {
  return {client, Instant{from}, Instant{to}, input, output};
}
Operation unknown(const char* client, int from, const char* input) {
  return {client, Instant{from}, std::nullopt, input, ""};
}

Verdict of(const Specification& specification, const std::vector<Operation>& history) {
  return judge(specification, history).verdict;
}

// Herlihy and Wing, TOPLAS 12(3), 1990, section 1: the four histories of a queue. Times are positions of the events.
TEST(Linearizability, QueueHistoryH1OfHerlihyAndWingIsAccepted) {
  EXPECT_EQ(of(Queue{}, {op("A", 1, 4, "enq x", "ok"), op("B", 2, 3, "enq y", "ok"), op("B", 5, 6, "deq", "x"),
                         op("A", 7, 8, "deq", "y"), unknown("A", 9, "enq z")}),
            Verdict::kLinearizable);
}
TEST(Linearizability, QueueHistoryH2OfHerlihyAndWingIsRefused) {
  EXPECT_EQ(of(Queue{}, {op("A", 1, 2, "enq x", "ok"), op("B", 3, 5, "enq y", "ok"), op("A", 4, 6, "deq", "y")}),
            Verdict::kNotLinearizable);
}
TEST(Linearizability, QueueHistoryH3OfHerlihyAndWingWithAPendingEnqueueIsAccepted) {
  EXPECT_EQ(of(Queue{}, {unknown("A", 1, "enq x"), op("B", 2, 3, "deq", "x")}), Verdict::kLinearizable);
}
TEST(Linearizability, QueueHistoryH4OfHerlihyAndWingWhereOneItemIsDequeuedTwiceIsRefused) {
  EXPECT_EQ(of(Queue{}, {op("A", 1, 3, "enq x", "ok"), op("B", 2, 4, "enq y", "ok"), op("A", 5, 7, "deq", "y"),
                         op("C", 6, 8, "deq", "y")}),
            Verdict::kNotLinearizable);
}

// The two histories of a register by which Athalye's "Testing Distributed Systems for Linearizability" explains it.
TEST(Linearizability, ReadsThatOverlapWithAWriteMaySeeItOrNot) {
  EXPECT_EQ(
      of(Register{}, {op("1", 0, 100, "write 1", "ok"), op("2", 25, 75, "read", "1"), op("3", 30, 60, "read", "0")}),
      Verdict::kLinearizable);
}
TEST(Linearizability, AReadThatBeginsAfterAnotherSawTheWriteMustSeeItToo) {
  EXPECT_EQ(
      of(Register{}, {op("1", 0, 100, "write 2", "ok"), op("2", 10, 30, "read", "2"), op("3", 40, 90, "read", "0")}),
      Verdict::kNotLinearizable);
}

// Lamport's "new/old inversion", what makes a register regular and not atomic.
TEST(Linearizability, ANewOldInversionIsRefused) {
  EXPECT_EQ(of(Register{}, {unknown("W", 0, "write 1"), op("R", 1, 2, "read", "1"), op("R", 3, 4, "read", "0")}),
            Verdict::kNotLinearizable);
}

TEST(Linearizability, AnUnknownOutcomeMayTakeEffectMuchLaterOrNever) {
  const std::vector<Operation> never{unknown("A", 0, "write 1"), op("B", 5, 6, "read", "0"),
                                     op("B", 8, 9, "read", "0")};
  const std::vector<Operation> late{unknown("A", 0, "write 1"), op("B", 5, 6, "read", "0"), op("B", 8, 9, "read", "1")};
  const std::vector<Operation> twice{unknown("A", 0, "write 1"), op("B", 2, 3, "write 2", "ok"),
                                     op("B", 4, 5, "read", "1"), op("B", 6, 7, "write 2", "ok"),
                                     op("B", 8, 9, "read", "1")};
  EXPECT_EQ(of(Register{}, never), Verdict::kLinearizable);
  EXPECT_EQ(of(Register{}, late), Verdict::kLinearizable);
  EXPECT_EQ(of(Register{}, twice), Verdict::kNotLinearizable);
}

TEST(Linearizability, NothingTakesEffectBeforeItBegins) {
  EXPECT_EQ(of(Register{}, {op("B", 1, 2, "read", "1"), unknown("A", 5, "write 1")}), Verdict::kNotLinearizable);
}

TEST(Linearizability, GivesUpAfterTheGivenNumberOfSteps) {
  std::vector<Operation> history;
  for (int i = 0; i < 20; ++i) history.push_back(unknown("A", 0, i % 2 == 0 ? "write 1" : "cas 1 2"));
  history.push_back(op("B", 1, 2, "read", "7"));
  EXPECT_EQ(judge(Register{}, history, 1000).verdict, Verdict::kUndecided);
}

// Every order of every subset of what is unknown, tried one by one.
bool by_brute_force(const Specification& specification, const std::vector<Operation>& history) {
  std::vector<std::size_t> order(history.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    for (unsigned subset = 0; subset < 1u << history.size(); ++subset) {
      std::vector<std::size_t> chosen;
      bool complete = true;
      for (const std::size_t i : order) {
        if ((subset >> i & 1) != 0) {
          chosen.push_back(i);
        } else {
          complete = complete && !history[i].returned;
        }
      }
      if (!complete) continue;
      std::optional<std::string> state = specification.initial();
      for (std::size_t a = 0; a < chosen.size() && state; ++a) {
        for (std::size_t b = a + 1; b < chosen.size() && state; ++b) {
          const auto& returned = history[chosen[b]].returned;
          if (returned && *returned < history[chosen[a]].invoked) state.reset();
        }
        if (state) state = specification.apply(*state, history[chosen[a]]);
      }
      if (state) return true;
    }
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

TEST(Linearizability, AgreesWithBruteForceOnRandomHistories) {
  SeededRandom random(7);
  int refused = 0;
  constexpr int kHistories = 1500;
  for (int round = 0; round < kHistories; ++round) {
    std::vector<Operation> history;
    for (int i = 0; i < 5; ++i) {
      const auto from = static_cast<std::int64_t>(random.below(12));
      Operation operation{"c", Instant{from}, Instant{from + static_cast<std::int64_t>(random.below(6))}, "read",
                          std::to_string(random.below(3))};
      if (random.chance(0.3)) {
        operation.input = "write " + std::to_string(random.below(3));
        operation.output = "ok";
      } else if (random.chance(0.4)) {
        operation.input = "cas " + std::to_string(random.below(3)) + " " + std::to_string(random.below(3));
        operation.output = random.chance(0.5) ? "ok" : "fail";
      }
      if (random.chance(0.25)) operation.returned.reset();
      history.push_back(std::move(operation));
    }
    const bool expected = by_brute_force(Register{}, history);
    refused += expected ? 0 : 1;
    ASSERT_EQ(of(Register{}, history) == Verdict::kLinearizable, expected) << to_text(history);
  }
  EXPECT_GT(refused, kHistories / 10);
  EXPECT_LT(refused, kHistories * 9 / 10);
}

// ------------------------------------------------------------------------------------ specifications of the records

TEST(RecordSpecs, ACertificateIsNeverGoodAgain) {
  const auto& certificate = specification(RecordKind::kCertificate);
  EXPECT_EQ(of(certificate, {op("a", 1, 2, "issue", "ok"), op("a", 3, 4, "revoke", "ok"), op("b", 3, 5, "read", "good"),
                             op("b", 6, 7, "read", "revoked")}),
            Verdict::kLinearizable);
  EXPECT_EQ(
      of(certificate, {op("a", 1, 2, "issue", "ok"), op("a", 3, 4, "revoke", "ok"), op("b", 5, 6, "read", "good")}),
      Verdict::kNotLinearizable);
  EXPECT_EQ(of(certificate, {op("a", 1, 2, "issue", "ok"), op("b", 3, 4, "issue", "ok")}), Verdict::kNotLinearizable);
}

TEST(RecordSpecs, ACompareAndSetThatIsToldAsRefusedMustNotHaveHappened) {
  const auto& account = specification(RecordKind::kAccount);
  EXPECT_EQ(of(account, {op("a", 1, 2, "put 0 x", "ok"), op("a", 3, 4, "put 1 y", "ok"),
                         op("b", 3, 5, "put 1 z", "conflict"), op("b", 6, 7, "read", "2 y")}),
            Verdict::kLinearizable);
  EXPECT_EQ(
      of(account, {op("a", 1, 2, "put 0 x", "ok"), op("b", 3, 5, "put 1 z", "conflict"), op("b", 6, 7, "read", "2 z")}),
      Verdict::kNotLinearizable);
}

TEST(RecordSpecs, AnOrderHasOneCertificateAndAKeyOneOwner) {
  const auto& order = specification(RecordKind::kOrder);
  EXPECT_EQ(of(order, {op("a", 1, 2, "create", "ok"), op("a", 3, 6, "finalize s1", "s2"),
                       op("b", 3, 6, "finalize s2", "s2"), op("c", 7, 8, "read", "s2")}),
            Verdict::kLinearizable);
  EXPECT_EQ(of(order,
               {op("a", 1, 2, "create", "ok"), op("a", 3, 6, "finalize s1", "s1"), op("b", 3, 6, "finalize s2", "s2")}),
            Verdict::kNotLinearizable);
  const auto& claim = specification(RecordKind::kClaim);
  EXPECT_EQ(of(claim, {op("a", 1, 2, "claim s1", "s1"), op("b", 1, 3, "claim s2", "s1")}), Verdict::kLinearizable);
  EXPECT_EQ(of(claim, {op("a", 1, 2, "claim s1", "s2")}), Verdict::kNotLinearizable);
}

TEST(RecordSpecs, CrlNumbersGrowAndMayLeaveOut) {
  const auto& number = specification(RecordKind::kCrlNumber);
  EXPECT_EQ(of(number, {op("a", 1, 2, "next", "1"), op("b", 3, 4, "next", "4")}), Verdict::kLinearizable);
  EXPECT_EQ(of(number, {op("a", 1, 2, "next", "4"), op("b", 3, 4, "next", "4")}), Verdict::kNotLinearizable);
  EXPECT_EQ(of(number, {op("a", 1, 2, "next", "4"), op("b", 3, 4, "next", "3")}), Verdict::kNotLinearizable);
}

}  // namespace
}  // namespace evercert::sim
