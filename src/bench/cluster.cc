// SPDX-License-Identifier: Apache-2.0
// A cluster that loses a region, and one that holds many certificates.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "bench/workbench.h"
#include "demo/load.h"

namespace evercert::bench {

using nlohmann::json;

// 50 issuances a second through the edges of two regions, by clients that do not try again; the third is killed.
Status region_kill(Workbench& bench) {
  EC_TRY(bench.start_cluster("kill", false));
  demo::History history;
  EC_ASSIGN(auto load, demo::Load::create(bench.cluster->config(), {25, 20, 0, 0, false}, history));
  load->start();
  sleep(static_cast<unsigned>(bench.options.seconds));
  const Instant killed = now();
  bench.cluster->kill_region(0);
  sleep(static_cast<unsigned>(std::max(6, bench.options.seconds)));
  load->stop();
  std::vector<Instant> writes;
  std::uint64_t failed = 0, total = 0;
  for (const auto& operation : history.operations()) {
    ++total;
    failed += operation.ok ? 0 : 1;
    if (operation.ok && operation.kind == demo::Kind::kIssue) writes.push_back(operation.ended);
  }
  std::sort(writes.begin(), writes.end());
  double gap = 0;
  for (std::size_t i = 1; i < writes.size(); ++i)
    gap = std::max(gap, static_cast<double>((writes[i] - writes[i - 1]).count()) / 1000);
  const bool went_on = !writes.empty() && writes.back() > killed + 1s;
  line("requests through the surviving edges", static_cast<double>(total), "");
  line("failed, by clients that do not try again", static_cast<double>(failed), "");
  line("longest time without an issuance", gap, "ms");
  for (const auto& what : history.failures()) std::printf("  %s\n", what.substr(0, 160).c_str());
  bench.results["region-kill"] = {
      {"requests", total}, {"failed", failed}, {"longest_gap_ms", gap}, {"went_on", went_on}};
  return {};
}

Status memory(Workbench& bench) {
  EC_TRY(bench.start_cluster("memory", true));
  EC_ASSIGN(auto load, bench.issue_load(64));
  load.seconds = 10;
  std::uint64_t issued = 0;
  while (issued < static_cast<std::uint64_t>(bench.options.certificates) && !bench.interrupted()) {
    EC_ASSIGN(const Rate rate, run_wrk(load, bench.dir));
    if (rate.requests == rate.failed) return fail(Code::kUnavailable, "nothing is issued");
    issued += rate.requests - rate.failed;
    std::printf("\r  %llu certificates", static_cast<unsigned long long>(issued));
    std::fflush(stdout);
  }
  std::printf("\n");
  json out{{"certificates", issued}, {"nodes_mb", json::array()}};
  double total = 0;
  for (std::size_t r = 0; r < bench.cluster->config().regions.size(); ++r) {
    const double node = resident_mb(bench.cluster->node_pid(r, 0));
    total += node + resident_mb(bench.cluster->edge_pid(r));
    line("node of " + bench.cluster->config().regions[r].name, node, "MB resident");
    out["nodes_mb"].push_back(node);
  }
  line("all server processes", total, "MB resident");
  out["total_mb"] = total;
  bench.results["memory"] = out;
  return {};
}

}  // namespace evercert::bench
