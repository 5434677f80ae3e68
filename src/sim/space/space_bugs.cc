// SPDX-License-Identifier: Apache-2.0
#include "sim/space/space_bugs.h"

#include <cctype>

#include "sim/space/space_run.h"

namespace evercert::sim {
namespace {

// Without the numbers.
std::string kind_of(const std::string& violation) {
  std::string kind;
  for (const char c : violation) {
    const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (!digit || !kind.ends_with('N')) kind += digit ? 'N' : c;
  }
  return kind;
}

}  // namespace

BugFindings measure(const coordination::PlantedBug& bug, std::uint64_t seeds,
                    const std::function<bool(const BugFindings&)>& progress) {
  BugFindings findings;
  findings.bug = {store::Bug::kNone, bug.name, bug.what};
  findings.scenario = "key space";
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const SpaceReport run = run_space(seed, bug.bug);
    ++findings.seeds;
    if (run.violation) {
      if (findings.found++ == 0) findings.first_seed = seed;
      ++findings.violations[kind_of(*run.violation)];
    }
    if (!progress(findings)) break;
  }
  return findings;
}

}  // namespace evercert::sim
