// SPDX-License-Identifier: Apache-2.0
// sim --space: the key space alone, with clients that lock, count, write and watch.
#include "sim_space.h"

#include <cstdio>

#include "base/log.h"
#include "base/os/system.h"
#include "commit.h"
#include "sim/space/space_run.h"

namespace evercert::apps {

const coordination::PlantedBug* space_bug(std::string_view name) {
  for (const auto& planted : coordination::kPlantedBugs) {
    if (planted.name == name) return &planted;
  }
  return nullptr;
}

int run_space_seeds(std::uint64_t first, std::uint64_t count, const coordination::PlantedBug* bug) {
  set_log_level(LogLevel::kOff);
  std::printf("evercert %s, commit %s, the key space, seeds %llu to %llu\n", EVERCERT_VERSION, EVERCERT_COMMIT,
              static_cast<unsigned long long>(first), static_cast<unsigned long long>(first + count - 1));
  const Instant begun = os::monotonic_clock().now();
  std::uint64_t violations = 0, acquisitions = 0, successes = 0, cut = 0;
  std::int64_t revisions = 0;
  double simulated = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const sim::SpaceReport run = sim::run_space(seed, bug == nullptr ? coordination::Bug::kNone : bug->bug);
    if (run.violation) {
      ++violations;
      std::printf("seed %llu: VIOLATION: %s\n", static_cast<unsigned long long>(seed), run.violation->c_str());
    }
    acquisitions += run.acquisitions;
    successes += run.successes;
    revisions += run.revisions;
    cut += run.compacted > 1 ? 1 : 0;
    simulated += run.simulated_seconds;
  }
  const double seconds = static_cast<double>((os::monotonic_clock().now() - begun).count()) / 1e6;
  std::printf(
      "%.0f simulated seconds in %.1f s; %llu acquisitions of locks, %llu compare-and-sets, %lld revisions, %llu "
      "histories cut by policy\n%llu violations\n",
      simulated, seconds, static_cast<unsigned long long>(acquisitions), static_cast<unsigned long long>(successes),
      static_cast<long long>(revisions), static_cast<unsigned long long>(cut),
      static_cast<unsigned long long>(violations));
  return violations == 0 ? 0 : 1;
}

}  // namespace evercert::apps
