// SPDX-License-Identifier: Apache-2.0
// Asks every edge whether it is ready, as a new client would, and tells the brain.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/env.h"
#include "net/http_client.h"
#include "traffic/dns/brain.h"
#include "traffic/dns/check_plan.h"
#include "traffic/dns/hub.h"

namespace evercert::traffic::dns {

struct CheckerOptions {
  std::vector<std::vector<net::HttpTarget>> edges;  // by region, as the brain's
  net::TlsFiles tls;                                // whom edges prove themselves to
  std::string local_address;                        // checks leave from here; empty: any
  CheckPlan plan;
};

// What an edge was seen as last.
struct EdgeReport {
  bool checked = false, passed = false;
  Duration took{0};
  std::string evidence;  // of a failure
  std::uint64_t checks = 0, failures = 0;
};

class Checker {
 public:
  // Begins at once. What is true is published in `hub`, before this returns for the first time. Thread-safe.
  static Result<std::unique_ptr<Checker>> start(CheckerOptions options, Brain brain, Hub& hub, MonotonicClock& clock,
                                                WallClock& wall);
  virtual ~Checker() = default;
  virtual std::vector<std::vector<EdgeReport>> reports() const = 0;
};

// What a check says of an edge. A redirect, an error or anything but 200 is no good answer.
CheckResult judge_check(const Result<net::HttpResponse>& result, Duration took);

}  // namespace evercert::traffic::dns
