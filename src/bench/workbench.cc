// SPDX-License-Identifier: Apache-2.0
#include "bench/workbench.h"

#include <cstdio>
#include <filesystem>

namespace evercert::bench {

Instant now() { return os::monotonic_clock().now(); }
double seconds_since(Instant begun) { return static_cast<double>((now() - begun).count()) / 1e6; }

void line(const std::string& what, const Rate& rate) {
  std::printf("  %-48s %9.0f a second   p50 %7.2f ms   p99 %7.2f ms   failed %llu\n", what.c_str(), rate.per_second,
              rate.p50_ms, rate.p99_ms, static_cast<unsigned long long>(rate.failed));
  std::fflush(stdout);
}
void line(const std::string& what, double value, const char* unit) {
  std::printf("  %-48s %9.2f %s\n", what.c_str(), value, unit);
  std::fflush(stdout);
}

Status Workbench::start_cluster(const std::string& name, bool hsm, Timing timing) {
  cluster.reset();
  demo::LocalClusterOptions local;
  local.dir = dir + "/" + name;
  std::error_code ignored;
  std::filesystem::remove_all(local.dir, ignored);
  local.wan = false;
  local.loopback_timing = timing == Timing::kLoopback;
  local.hsm = hsm;
  local.progress = [](const std::string&) {};
  local.interrupted = interrupted;
  EC_ASSIGN(cluster, demo::LocalCluster::create(std::move(local)));
  const OnCore server(kServerCore);
  return cluster->start();
}

Result<HttpLoad> Workbench::issue_load(int connections) const {
  const std::string bodies = cluster->dir() + "/bodies";
  if (!os::disk().exists(bodies)) EC_TRY(write_bodies(bodies, false));
  const auto& edge = cluster->config().regions.front().edges.front();
  return HttpLoad{"https://" + edge.address + ":" + std::to_string(edge.https_port) + "/v1/certificates",
                  connections,
                  options.seconds,
                  bodies,
                  cluster->token(),
                  201};
}

}  // namespace evercert::bench
