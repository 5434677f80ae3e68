// SPDX-License-Identifier: Apache-2.0
// Steady clients in every region: they issue, revoke and read through their own edge and, when it does not answer,
// through the next region's, with the same idempotency key.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/os/system.h"
#include "config/config.h"
#include "demo/history.h"
#include "net/http_client.h"

namespace evercert::demo {

struct LoadOptions {
  double issues_per_second = 15;  // per region
  double reads_per_second = 40;   // per region: OCSP, GET, CRL
  double revocations_per_second = 2;
  int without = -1;        // index of a region that has no clients
  bool persistent = true;  // clients try other regions when theirs does not answer, and again
};

class Load {
 public:
  static Result<std::unique_ptr<Load>> create(const config::ClusterConfig& config, LoadOptions options,
                                              History& history);
  ~Load();
  void start();
  // No new operations; waits for those under way.
  void stop();

 private:
  Load(const config::ClusterConfig& config, LoadOptions options, History& history)
      : config_(config), options_(options), history_(history) {}
  void schedule(int region, double per_second, Task<void> (Load::*operation)(int));
  Task<void> issue(int region);
  Task<void> revoke(int region);
  Task<void> read(int region);
  Task<void> ocsp(int region);
  Task<void> get(int region);
  Task<void> crl(int region);
  struct Answer {
    Result<net::HttpResponse> last = fail(Code::kUnavailable, "nobody was asked");
    bool refused = true;  // at every address: nothing was done
  };
  // Tries the own region first, then the others, round and round for a while.
  Task<Answer> anywhere(int region, bool tls, net::HttpCall call);
  static void end(Operation& operation, const Answer& answer);
  net::HttpTarget target(int region, bool tls) const;

  const config::ClusterConfig& config_;
  LoadOptions options_;
  History& history_;
  std::string token_;
  std::vector<std::string> csrs_, issuers_;
  std::vector<std::unique_ptr<net::HttpClient>> clients_;
  std::unique_ptr<os::ThreadExecutor> executor_;
  std::atomic<bool> running_{false};
  std::atomic<int> under_way_{0};
};

}  // namespace evercert::demo
