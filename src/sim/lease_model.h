// SPDX-License-Identifier: Apache-2.0
// The lease rule, tried out in every possible way: all that can happen among three regions of one replica each, with
// the very objects of the store (store/lease.h) and a Raft as small as it can be around them. Messages are delayed,
// overtaken and lost, replicas restart, another leader is elected, all in every order, and time passes as long as it
// likes. Where a promise lasts two ticks and its holder counts one, what matters of time is small.
//
// The invariant: while region 3 holds a lease, its log has every write that a client was told is durable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/planted.h"

namespace evercert::sim {

struct ModelBounds {
  int restarts = 1;   // of any replica
  int elections = 1;  // after the first leader
  std::uint64_t states = 3'000'000;
};

struct ModelReport {
  std::uint64_t states = 0, steps = 0;
  bool complete = true;  // false: more states than the bound
  // What led to a violation, step by step.
  std::optional<std::vector<std::string>> violation;
};
ModelReport explore(const ModelBounds& bounds, store::Bug bug = store::Bug::kNone);

// What `make model` explores.
const std::vector<ModelBounds>& bounds_of_the_model();
// Bugs of the rule that this model can find.
const std::vector<store::Bug>& bugs_of_the_model();

}  // namespace evercert::sim
