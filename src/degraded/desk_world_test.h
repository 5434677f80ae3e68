// SPDX-License-Identifier: Apache-2.0
// A node's queue in a simulation: clients, a disk that tears, ends at any moment, a cluster that has a majority now and
// then and whose answers get lost. Everything is drawn from one seed; what must hold is checked all the time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/fake_disk.h"
#include "degraded/desk.h"
#include "sim/seeded_random.h"
#include "testkit/fakes.h"

namespace evercert::degraded {

struct SimulatedClocks : MonotonicClock {
  Instant now() const override { return {us}; }
  std::int64_t us = 1'000'000;
};
struct SimulatedWall : WallClock {
  explicit SimulatedWall(const SimulatedClocks& of) : clocks(of) {}
  WallTime now() const override { return {1'700'000'000'000 + clocks.us / 1000}; }
  const SimulatedClocks& clocks;
};

// What the rest of the cluster is to a queue: carries out under a key, once, and answers as networks do.
class SimulatedCluster {
 public:
  SimulatedCluster(sim::SeededRandom& random, Executor& network) : random_(random), network_(network) {}
  bool majority = false;
  // By what was asked for: under how many keys it was carried out.
  std::map<std::string, int> effects;
  // Called when an operation is begun.
  std::function<void(const v1::Operation&)> began;

  Task<Result<std::string>> perform(Executor& on, v1::Operation operation) {
    began(operation);
    const UnderWay under_way(*this, operation.id());
    co_await pause(on);
    Result<std::string> answer = act(operation);
    co_await pause(on);
    co_return answer;
  }
  bool begun_twice = false;

 private:
  // Until the attempt ends or its node does.
  struct UnderWay {
    UnderWay(SimulatedCluster& cluster, std::string id) : of(cluster.under_way_), name(std::move(id)) {
      if (!of.insert(name).second) cluster.begun_twice = true;
    }
    ~UnderWay() { of.erase(name); }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    std::set<std::string>& of;
    std::string name;
  };
  Task<void> pause(Executor& on) {
    const Duration length = random_.between(1ms, random_.chance(0.1) ? Duration{5s} : Duration{100ms});
    auto start = [this, length](auto resolve) {
      network_.post_after(length, [resolve = std::move(resolve)]() mutable { resolve(true); });
    };
    auto waited = suspend_on<bool>(on, std::move(start));
    co_await waited;
  }
  Result<std::string> act(const v1::Operation& operation) {
    if (!majority) {
      // Proposed to a leader that is about to lose its majority: nobody knows.
      if (random_.chance(0.1)) return fail(Code::kUnknownOutcome, "no answer");
      return fail(Code::kUnavailable, "no majority");
    }
    if (random_.chance(0.1)) return fail(Code::kUnavailable, "no leader");
    if (random_.chance(0.1)) return fail(Code::kUnknownOutcome, "lost on its way there");
    if (operation.reason() == kBad) return fail(Code::kConflict, "it breaks a rule");
    auto [done, first] = done_.try_emplace(operation.repeat(), "");
    if (first) {
      done->second = "serial " + std::to_string(done_.size());
      ++effects[operation.digest()];
    }
    if (random_.chance(0.15)) return fail(Code::kUnknownOutcome, "lost on its way back");
    return done->second;
  }

 public:
  static constexpr std::uint32_t kBad = 99;

 private:
  sim::SeededRandom& random_;
  Executor& network_;
  std::map<std::string, std::string> done_;  // by key
  std::set<std::string> under_way_;
};

class DeskWorld {
 public:
  DeskWorld(std::uint64_t seed, QueueBug bug);
  // Runs; what was violated first, if anything.
  std::optional<std::string> run();
  std::uint64_t acknowledged() const { return told_.size(); }
  std::uint64_t ends() const { return ends_; }
  std::uint64_t repetitions() const { return repetitions_; }

 private:
  struct Told {
    std::string digest;
    v1::Kind kind{};
    std::int64_t deadline_ms = 0;
    bool bad = false, dropped = false;
    std::optional<v1::State> ended;
    std::string serial;
  };
  void start_node();
  void end_node(bool power);
  void step();
  void offer();
  void look_at(const std::string& id);
  void look_at_all();
  void drop_one();
  void check_order(const v1::Operation& begun);
  void judge(const std::string& id, const Result<v1::Operation>& found);
  void pass(Duration time);
  void violation(std::string what) {
    if (!violated_) violated_ = std::move(what);
  }
  void check_end();

  sim::SeededRandom random_;
  QueueLimits limits_;
  SimulatedClocks clocks_;
  SimulatedWall wall_{clocks_};
  testkit::ManualExecutor executor_;
  FakeDisk disk_;
  SimulatedCluster cluster_{random_, executor_};
  std::unique_ptr<testkit::MortalExecutor> life_;
  std::unique_ptr<Desk> desk_;
  std::unique_ptr<TaskScope> clients_;
  std::map<std::string, Told> told_;  // by id: what was acknowledged
  // Of this life.
  std::set<std::string> attempted_;
  std::map<std::string, v1::Kind> waiting_;
  std::map<std::string, std::string> keys_;  // of clients: the digest
  std::optional<std::string> violated_;
  std::uint64_t count_ = 0, ends_ = 0, repetitions_ = 0;
};

}  // namespace evercert::degraded
