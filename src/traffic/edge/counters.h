// SPDX-License-Identifier: Apache-2.0
// What an edge counts, by class of request. Written by all threads, read when somebody asks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "base/time.h"
#include "traffic/policy/criticality.h"

namespace evercert::traffic {

// Upper edges of the buckets of answer times.
inline constexpr std::array<Duration, 15> kLatencyEdges{500us, 1ms,   2ms,   5ms,    10ms, 25ms, 50ms, 100ms,
                                                        200ms, 400ms, 800ms, 1500ms, 3s,   6s,   12s};

class LatencyHistogram {
 public:
  void record(Duration took);
  // Lines of a Prometheus histogram; `labels`: name="value" pairs without braces.
  void print(std::string& out, std::string_view name, std::string_view labels) const;
  std::uint64_t count() const;

 private:
  std::array<std::atomic<std::uint64_t>, kLatencyEdges.size() + 1> buckets_{};
  std::atomic<std::uint64_t> sum_us_{0};
};

struct EdgeCounters {
  using Count = std::atomic<std::uint64_t>;
  struct OfClass {
    Count passed_on{0};             // requests that were let in
    Count waited{0}, waited_us{0};  // of these, at the door
    Count overload{0}, rate{0};     // turned away for want of room; by a limit of its client
    Count failed{0};                // answered with a 5xx
    Count hedges{0}, hedges_won{0};
    LatencyHistogram took;  // from arrival to the answer, of what was let in
  };
  std::array<OfClass, kCriticalities> classes;
  Count retries{0}, retries_denied{0}, coalesced{0}, broken_off{0}, late{0};

  OfClass& of(Criticality c) { return classes[static_cast<std::size_t>(c)]; }
  const OfClass& of(Criticality c) const { return classes[static_cast<std::size_t>(c)]; }
  std::string metrics() const;
};

}  // namespace evercert::traffic
