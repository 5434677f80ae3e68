// SPDX-License-Identifier: Apache-2.0
// Whether a region takes traffic, from what all regions say of it. One observer may be wrong, cut off, or lie: a region
// is out only when two agree, its own word among them, and comes back only when two agree for a while. Out is at once,
// back takes its time, and longer each time it goes out again soon: flapping links do not flap traffic. Pure; one
// thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace evercert::health {

struct VerdictOptions {
  // Scores; between them nothing changes. One check of each of two services may have failed once: that is no outage.
  double out_below = 40, in_from = 70;
  std::size_t agree = 2;         // observers
  Duration fresh = 15s;          // an older word says nothing
  Duration hold = 30s;           // so long all is well before a region is back
  Duration longest_hold = 300s;  // after it went out again and again
};

class Verdicts {
 public:
  explicit Verdicts(VerdictOptions options = {}) : options_(options) {}

  // What `observer` says of `region`: 0 to 100, anything else is no word. `why`: for a person.
  void said(RegionId observer, RegionId region, double score, std::string why, Instant now);
  struct Change {
    RegionId region;
    bool out = false;
    std::string evidence;  // "region 2 says 12 (api down), region 3 says 0"
  };
  // What is to change now. Call often.
  std::vector<Change> review(Instant now);

  bool out(RegionId region) const;

 private:
  struct Word {
    double score = 100;
    std::string why;
    Instant at;
  };
  struct Region {
    std::map<RegionId, Word> words;  // by observer
    bool out = false;
    Instant changed, well_since;
    bool well = false;
    Duration hold{0};  // of this outage
  };
  std::string evidence(const Region& region, Instant now) const;

  VerdictOptions options_;
  std::map<RegionId, Region> regions_;
};

}  // namespace evercert::health
