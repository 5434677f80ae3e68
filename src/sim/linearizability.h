// SPDX-License-Identifier: Apache-2.0
// Is a history of concurrent operations on one object linearizable (Herlihy and Wing, TOPLAS 1990): is there one order
// of them, in which each takes effect at one instant between its invocation and its return, that the object's
// sequential specification allows? After Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's
// memory of configurations that were seen ("Testing for Linearizability", 2017).
//
// An operation whose outcome is unknown has no return: it may have taken effect at any time after its invocation, or
// never.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace evercert::sim {

// `input` and `output` are words of the specification's own.
struct Operation {
  std::string client;
  Instant invoked;
  std::optional<Instant> returned;  // none: the outcome is unknown
  std::string input;
  std::string output;
  std::uint32_t place = 0;  // where, should places be judged apart
};

// A sequential specification. States are compared as texts: equal states must have equal texts.
class Specification {
 public:
  virtual ~Specification() = default;
  virtual std::string initial() const = 0;
  // The state after `operation`, or nothing when it cannot answer as it did in `state`. Of an operation that never
  // returned, `output` means nothing.
  virtual std::optional<std::string> apply(const std::string& state, const Operation& operation) const = 0;
};

enum class Verdict { kLinearizable, kNotLinearizable, kUndecided };

struct Judgement {
  Verdict verdict = Verdict::kLinearizable;
  std::uint64_t steps = 0;
  // When not linearizable: the longest order found, as positions in the history, and the operation that no order
  // reaches in time.
  std::vector<std::size_t> longest;
  std::size_t stuck = 0;
};

// Judges `history` in any order. Gives up (kUndecided) after `max_steps` attempts to apply an operation.
Judgement judge(const Specification& specification, const std::vector<Operation>& history,
                std::uint64_t max_steps = 2'000'000);

// The operations, by invocation, one a line.
std::string to_text(const std::vector<Operation>& history);

}  // namespace evercert::sim
