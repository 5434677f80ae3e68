// SPDX-License-Identifier: Apache-2.0
// The key space of a simulated cluster as its interfaces offer it: commands that are applied once, fresh reads, and a
// watch hub in each node's life.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "coordination/lock_table.h"
#include "coordination/proposer.h"
#include "coordination/watch_hub.h"
#include "sim/world.h"

namespace evercert::sim {

class SpaceNodes {
 public:
  SpaceNodes(World& world, coordination::Bug bug);

  // `done` is called once: with the state machine's answer (a refusal is one too), or nullopt when none came in time.
  using Answered = std::function<void(std::optional<coordination::v1::Answer>)>;
  void submit(NodeId through, coordination::v1::Command command, Answered done);
  // `done` is called once: with a view that is fresh, or null.
  void read(NodeId through, std::function<void(const coordination::View*)> done);

  // Null while the node is down. A hub lives as long as the node's life, which has a number.
  coordination::WatchHub* hub(NodeId node);
  // The same.
  std::shared_ptr<coordination::LockTable> contenders(NodeId node);
  std::uint64_t life(NodeId node) { return lives_[node].number; }

  // Of all nodes.
  std::function<void(const coordination::Effects&)> on_applied;

 private:
  struct Life {
    std::uint64_t number = 0;
    std::unique_ptr<coordination::WatchHub> hub;
    // What is asked of it may outlive the life.
    std::shared_ptr<coordination::LockTable> contenders;
    std::unique_ptr<coordination::Proposer> proposer;
  };
  void begin_life(NodeId node);

  World& world_;
  coordination::Bug bug_;
  std::map<NodeId, Life> lives_;
};

}  // namespace evercert::sim
