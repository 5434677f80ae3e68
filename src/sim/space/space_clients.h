// SPDX-License-Identifier: Apache-2.0
// Clients of the key space: writers, those who count by compare-and-set, watchers that change nodes, and one who
// compacts.
#pragma once

#include <string>
#include <vector>

#include "sim/seeded_random.h"
#include "sim/space/space_checker.h"
#include "sim/space/space_nodes.h"

namespace evercert::sim {

class SpaceClient {
 public:
  SpaceClient(World& world, SpaceNodes& nodes, SpaceChecker& checker, SeededRandom& random)
      : world_(world), nodes_(nodes), checker_(checker), random_(random) {}
  virtual ~SpaceClient() = default;
  virtual void step() = 0;
  void stop() { running_ = false; }

 protected:
  NodeId somewhere() { return world_.nodes()[random_.below(world_.nodes().size())]; }
  void again(Duration delay) {
    world_.at(delay, [this] {
      if (running_) step();
    });
  }

  World& world_;
  SpaceNodes& nodes_;
  SpaceChecker& checker_;
  SeededRandom& random_;
  bool running_ = true;
};

class Writer : public SpaceClient {
 public:
  Writer(int number, World& world, SpaceNodes& nodes, SpaceChecker& checker, SeededRandom& random)
      : SpaceClient(world, nodes, checker, random), number_(number) {}
  void step() override;

 private:
  int number_;
  std::uint64_t last_ = 0;
};

class Counter : public SpaceClient {
 public:
  using SpaceClient::SpaceClient;
  void step() override;
};

class Compactor : public SpaceClient {
 public:
  using SpaceClient::SpaceClient;
  void step() override;
};

class Watcher : public SpaceClient {
 public:
  Watcher(std::string prefix, World& world, SpaceNodes& nodes, SpaceChecker& checker, SeededRandom& random)
      : SpaceClient(world, nodes, checker, random), prefix_(std::move(prefix)) {}
  void step() override;
  // Sees the rest, wherever it is now, and is judged.
  void finish();

 private:
  bool attached() const { return hub_ != nullptr && nodes_.hub(node_) == hub_ && nodes_.life(node_) == life_; }
  void attach(NodeId node);
  // False when there was nothing.
  bool take();

  std::string prefix_;
  NodeId node_;
  std::uint64_t life_ = 0;
  coordination::WatchHub* hub_ = nullptr;
  coordination::WatchHub::Id watch_ = 0;
  std::int64_t next_ = 1;
  std::vector<SeenEvent> events_;
  std::vector<std::pair<std::int64_t, std::int64_t>> gaps_;
};

}  // namespace evercert::sim
