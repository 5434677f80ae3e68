// SPDX-License-Identifier: Apache-2.0
// Full ACME orders: account, order, http-01 validation, finalize, download.
#include <cstdio>
#include <filesystem>

#include "bench/peers.h"
#include "bench/workbench.h"

namespace evercert::bench {
namespace {

using nlohmann::json;

Result<std::optional<Rate>> run_acmeload(const Workbench& bench, const std::string& tool, const std::string& directory,
                                         int orders) {
  const OnCore client(kClientCore);
  const int seconds = bench.options.seconds;
  EC_ASSIGN(const auto text, run_tool({tool, "-directory", directory, "-c", std::to_string(orders), "-d",
                                       std::to_string(seconds) + "s", "-domain", "load.test"},
                                      bench.dir + "/acmeload.log", (seconds + 60) * 1s));
  const auto document = json::parse(text, nullptr, false);
  if (!document.is_object()) return fail(Code::kInternal, "acmeload gave no result: " + text.substr(0, 300));
  if (document.value("failed", 0) > 0)
    std::printf("  first failure: %s\n", document.value("first_failure", "").c_str());
  return std::optional(Rate{document.value("per_second", 0.0), document.value("p50_ms", 0.0),
                            document.value("p99_ms", 0.0), document.value("requests", std::uint64_t{0}),
                            document.value("failed", std::uint64_t{0})});
}

}  // namespace

Status acme(Workbench& bench) {
  const std::string tool = find_program("acmeload", bench.options.peers);
  if (tool.empty()) {
    std::printf("  no acmeload in '%s': bench/build_peers.sh builds it\n", bench.options.peers.c_str());
    return {};
  }
  const std::vector<Contender> contenders{
      {"evercert", "Evercert, full orders, 3 regions", true,
       [&](int orders) -> Result<std::optional<Rate>> {
         EC_TRY(bench.start_cluster("acme", false));
         const auto& edge = bench.cluster->config().regions.front().edges.front();
         const auto rate = run_acmeload(
             bench, tool, "https://" + edge.address + ":" + std::to_string(edge.https_port) + "/acme/directory",
             orders);
         // Its resolver answers for the next as well; its servers must not take the core from it.
         for (std::size_t r = 0; r < bench.cluster->config().regions.size(); ++r) bench.cluster->kill_region(r);
         return rate;
       }},
      {"step_ca", "step-ca, full orders, 1 node", false, [&](int orders) -> Result<std::optional<Rate>> {
         const std::string dir = bench.dir + "/step-ca-acme";
         std::error_code ignored;
         std::filesystem::remove_all(dir, ignored);
         EC_ASSIGN(const auto step, start_step_ca(bench.options.peers, dir, 1));
         if (!step) return std::optional<Rate>{};
         return run_acmeload(bench, tool, step->acme_directory, orders);
       }}};
  return compare(bench, {1, 16, 32, 64, 128}, contenders, bench.results["acme"]);
}

}  // namespace evercert::bench
