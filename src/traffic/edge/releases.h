// SPDX-License-Identifier: Apache-2.0
// Which nodes of a region run a new release, which requests they get, and how they do (policy/canary.h). Thread-safe.
#pragma once

#include <mutex>
#include <string>

#include "net/http.h"
#include "traffic/edge/backends.h"
#include "traffic/policy/canary.h"

namespace evercert::traffic {

// From a client: "always" or "never" the new release.
inline constexpr std::string_view kCanaryWish = "Evercert-Canary";

class Releases {
 public:
  // After all endpoints were added.
  Releases(const Backends& backends, MonotonicClock& clock);

  // Nodes that this request shall not be sent to first. Empty: any will do.
  Backends::Tried avoid(const net::HttpRequest& request) const;
  void finished(const Attempt& attempt, Outcome outcome);

  // kInvalid: not from 0 to 100, or no node runs a new release, or all do.
  Status begin(double percent);
  // As an earlier process has found: rolled back, for this reason, until begin().
  void stay_back(std::string why);
  struct State {
    bool any = false;  // nodes of both releases
    double percent = 0;
    bool rolled_back = false;
    std::string why;
    // Answers that were compared since begin(): of the new release, of the old one.
    std::uint64_t of_new = 0, of_old = 0;
  };
  State state() const;

 private:
  MonotonicClock& clock_;
  Backends::Tried canaries_, stable_;
  mutable std::mutex mutex_;
  Canary canary_;
  std::uint64_t of_new_ = 0, of_old_ = 0;
};

}  // namespace evercert::traffic
