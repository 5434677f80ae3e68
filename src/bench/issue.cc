// SPDX-License-Identifier: Apache-2.0
// Issuance by REST, beside the sign requests of others.
#include <filesystem>
#include <fstream>

#include "bench/peers.h"
#include "bench/workbench.h"

namespace evercert::bench {
namespace {

using nlohmann::json;

const std::vector<int> kAtOnce{16, 32, 64, 128, 256};
constexpr int kWarmUpSeconds = 1;

Status drop_lines(const std::string& path, std::uint64_t count) {
  std::ifstream in(path);
  std::ofstream out(path + ".rest");
  std::string text;
  for (std::uint64_t n = 0; std::getline(in, text); ++n) {
    if (n >= count) out << text << "\n";
  }
  out.close();
  return os::disk().rename(path + ".rest", path);
}

// After a moment that is not counted: every server has just been started.
Result<std::optional<Rate>> warm(HttpLoad load, const std::string& dir, bool bodies_used_up) {
  HttpLoad before = load;
  before.seconds = kWarmUpSeconds;
  EC_ASSIGN(const Rate first, run_wrk(before, dir));
  // What was under way at the end is not among the requests.
  if (bodies_used_up) EC_TRY(drop_lines(load.bodies, first.requests + 2 * static_cast<unsigned>(load.connections)));
  EC_ASSIGN(const Rate rate, run_wrk(load, dir));
  return std::optional(rate);
}

Contender evercert(Workbench& bench) {
  return {"evercert", "Evercert, 3 regions durable", true, [&bench](int at_once) -> Result<std::optional<Rate>> {
            EC_TRY(bench.start_cluster("issue", false));
            EC_ASSIGN(const auto load, bench.issue_load(at_once));
            const auto rate = warm(load, bench.dir, false);
            bench.cluster.reset();
            return rate;
          }};
}

using StartPeer = std::function<Result<std::optional<Peer>>(const std::string& dir)>;
Contender peer(const Workbench& bench, std::string name, std::string words, int expected, StartPeer start_peer) {
  return {name, std::move(words), false,
          [&bench, name, expected, start_peer = std::move(start_peer)](int at_once) -> Result<std::optional<Rate>> {
            const std::string dir = bench.dir + "/" + name;
            std::error_code ignored;
            std::filesystem::remove_all(dir, ignored);
            EC_ASSIGN(const auto running, start_peer(dir));
            if (!running) return std::optional<Rate>{};
            return warm({running->sign_url, at_once, bench.options.seconds, running->bodies, "", expected}, bench.dir,
                        running->bodies_used_up);
          }};
}

}  // namespace

Status issue(Workbench& bench) {
  const auto& options = bench.options;
  const std::vector<Contender> contenders{
      evercert(bench),
      peer(bench, "step_ca", "step-ca, 1 node", 201,
           [&](const std::string& dir) {
             return start_step_ca(options.peers, dir, options.seconds + kWarmUpSeconds + 1);
           }),
      peer(bench, "cfssl", "cfssl, stores nothing, plain HTTP", 200,
           [&](const std::string& dir) { return start_cfssl(options.peers, dir); })};
  return compare(bench, kAtOnce, contenders, bench.results["issue"]);
}

Status issue_softhsm(Workbench& bench) {
  EC_TRY(bench.start_cluster("issue-softhsm", true));
  const std::vector<Contender> alone{
      {"evercert", "Evercert, 3 regions durable, SoftHSM2", true, [&bench](int at_once) -> Result<std::optional<Rate>> {
         EC_ASSIGN(const auto load, bench.issue_load(at_once));
         return warm(load, bench.dir, false);
       }}};
  return compare(bench, kAtOnce, alone, bench.results["issue-softhsm"]);
}

}  // namespace evercert::bench
