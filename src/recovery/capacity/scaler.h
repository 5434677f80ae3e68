// SPDX-License-Identifier: Apache-2.0
// Holds a driver's workers at a wanted number: within what the driver may run, by the word of the newest controller
// alone, with a pause between changes, and without starting again and again what ends at once. Pure but for the driver;
// one thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "recovery/capacity/driver.h"

namespace evercert::recovery {

struct ScalerOptions {
  Duration cool_down = 60s;       // after workers were let go none are started for so long
  Duration longest_retry = 300s;  // between two starts of one that ends by itself: 1 s, doubled each time
  Duration steady = 120s;         // one that has run for so long has not failed
};

class Scaler {
 public:
  explicit Scaler(CapacityDriver& driver, ScalerOptions options = {}) : driver_(driver), options_(options) {}

  // How many are to run, by whom. kConflict: a newer controller has spoken. kUnavailable: some were let go just now.
  // What is beyond the driver's means is cut: the number that will run.
  Result<int> want(int workers, std::int64_t token, Instant now);
  // A newer controller stands by what was wanted last: from now on it is by its word. kConflict as above; kNotFound:
  // nobody has wanted anything of this process, which says nothing of what its earlier life was told.
  Result<int> affirm(std::int64_t token);
  // Starts and ends what is to be; what went wrong, for the log. Call about once a second.
  std::vector<std::string> review(Instant now);

  int wanted() const { return wanted_; }
  std::int64_t token() const { return token_; }  // of who wanted it; 0: nobody yet
  int running() const { return running_; }
  // That could be started now beside those that run.
  int spare(Instant now) const { return cooling(now) ? 0 : known_ - running_; }

 private:
  struct Attempts {
    int failed = 0;
    std::optional<Instant> begun, next;
  };
  bool cooling(Instant now) const { return let_go_ && now - *let_go_ < options_.cool_down; }

  CapacityDriver& driver_;
  ScalerOptions options_;
  int wanted_ = 0, running_ = 0, known_ = 0;
  std::int64_t token_ = 0;
  std::optional<Instant> let_go_;
  std::map<std::string, Attempts> attempts_;
};

}  // namespace evercert::recovery
