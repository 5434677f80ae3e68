// SPDX-License-Identifier: Apache-2.0
// What a node sees coming: measured values on their way to a limit (forecast.h), each with how often such warnings came
// true; and what ends at a known moment, as certificates and CRLs do, unless somebody renews it. Pure; one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "health/forecast.h"
#include "health/score.h"
#include "health/track_record.h"

namespace evercert::health {

class Foresight {
 public:
  struct Options {
    Duration step = 60s;       // of a series' points, of which there are 64
    Duration horizon = 3600s;  // warnings are of what comes within it
    double late = 0.25;        // what ends should have been renewed before so much of its life is left
  };
  explicit Foresight(Options options) : options_(options) {}

  struct Limit {
    double value = 0;
    bool below = false;  // it must not fall below
  };
  // The value called `what` is now so; the limit of the first call holds.
  void measured(const std::string& what, const std::string& unit, Limit limit, double value, Instant now);
  // It is good from `begin` to `end`, in seconds of the epoch; a later call of the same name says anew.
  void ends(const std::string& what, std::int64_t begin, std::int64_t end);

  struct Forecast {
    std::string what, unit;
    Limit limit;
    std::optional<Trend> trend;  // not yet known
    std::optional<Duration> left;
    BackTest::Count count;
  };
  std::vector<Forecast> forecasts(Instant now) const;
  // What was judged, by what was measured; and to go on from what an earlier life had counted (call it first). What was
  // forecast and not judged when the node ended is forgotten.
  TrackRecord track_record() const;
  void resume(TrackRecord record) { earlier_ = std::move(record); }
  struct End {
    std::string what;
    std::int64_t left_seconds = 0;  // negative: it is over
    bool late = false;
  };
  // The nearest first.
  std::vector<End> endings(std::int64_t now_seconds) const;
  // 100 while nothing is late, 0 when something is over, in proportion between.
  Score endings_score(std::int64_t now_seconds) const;

 private:
  struct Value {
    std::string what, unit;
    Limit limit;
    Series series;
    BackTest test;
  };
  struct Life {
    std::int64_t begin = 0, end = 0;
  };
  double late_seconds(const Life& life) const;

  Options options_;
  std::vector<Value> values_;
  TrackRecord earlier_;  // of what has not been measured yet in this life
  std::map<std::string, Life> lives_;
};

// "3 d", "2 h 5 min", "12 min", "40 s".
std::string in_words(std::int64_t seconds);

}  // namespace evercert::health
