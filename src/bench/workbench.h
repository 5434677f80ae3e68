// SPDX-License-Identifier: Apache-2.0
// What every benchmark works with: the options, a folder, a cluster of its own, the results, lines on the screen.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "bench/tools.h"
#include "demo/local_cluster.h"

namespace evercert::bench {

struct Workbench {
  const BenchOptions& options;
  const std::function<bool()>& interrupted;
  std::string dir;
  std::unique_ptr<demo::LocalCluster> cluster = nullptr;
  nlohmann::json results = nlohmann::json::object();

  enum class Timing { kLoopback, kUsual };
  // Three regions, made anew in dir/name, every server process on the server core, no emulated WAN. One cluster with
  // tokens in the life of a process: the token library is set up once.
  Status start_cluster(const std::string& name, bool hsm, Timing timing = Timing::kLoopback);
  // Issuances through the edge of the first region.
  Result<HttpLoad> issue_load(int connections) const;
};

Instant now();
double seconds_since(Instant begun);
void line(const std::string& what, const Rate& rate);
void line(const std::string& what, double value, const char* unit);

// One side of a comparison.
struct Contender {
  std::string name, words;  // in JSON and on the screen
  bool ours = false;
  // One measurement with `at_once` requests under way. Everything that would take the core from the next one has ended
  // when it returns. nullopt: its program is not there.
  std::function<Result<std::optional<Rate>>(int at_once)> measure;
};
// Each contender in turn at each load (`usual_loads`, unless the options name others), all of it options.runs times, so
// that a machine that drifts favours nobody. Into `out`: medians with the rates of the runs, and for each of ours and
// each of the others the ratio of the best rates, the median of the runs. kUnavailable: more than a hundredth of
// somebody's requests failed.
Status compare(const Workbench& bench, const std::vector<int>& usual_loads, const std::vector<Contender>& contenders,
               nlohmann::json& out);

// The benchmarks. Figures go into bench.results under their names.
Status sign_limit(Workbench& bench);
Status commit_limit(Workbench& bench);
Status start(Workbench& bench);
Status region_kill(Workbench& bench);
Status memory(Workbench& bench);
Status scale(Workbench& bench);
Status issue(Workbench& bench);
Status issue_softhsm(Workbench& bench);
Status acme(Workbench& bench);
Status ocsp(Workbench& bench);
Status coordination(Workbench& bench);

}  // namespace evercert::bench
