// SPDX-License-Identifier: Apache-2.0
// A cluster with very many certificates, all of them issued to clients over REST: what a node of it needs to start,
// what it holds in memory, how fast a node without a disk gets everything, and how soon a region that missed many
// entries serves again.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/os/system.h"
#include "bench/workbench.h"
#include "demo/operator_client.h"

namespace evercert::bench {
namespace {

using nlohmann::json;

constexpr std::size_t kKilled = 1, kCutOff = 2;  // regions; the first one issues
constexpr int kMissed = 100'000;

double folder_mb(const std::string& dir) {
  double bytes = 0;
  std::error_code gone;  // files come and go meanwhile
  for (std::filesystem::recursive_directory_iterator it(dir, gone), end; it != end; it.increment(gone)) {
    if (it->is_regular_file(gone)) bytes += static_cast<double>(it->file_size(gone));
  }
  return bytes / 1e6;
}

class Scale {
 public:
  explicit Scale(Workbench& bench) : bench_(bench), cluster_(*bench.cluster) {}

  Status run() {
    EC_TRY(fill());
    EC_TRY(node_start());
    EC_TRY(snapshot());
    EC_TRY(readmission());
    memory("memory_after_all_mb");
    bench_.results["scale"] = out_;
    return {};
  }

 private:
  // Issuances in rounds, through the edge of each of the first `regions` regions in turn, so that their groups grow
  // alike.
  Result<Rate> issue(std::uint64_t certificates, std::size_t regions) {
    EC_ASSIGN(auto load, bench_.issue_load(128));
    Rate total;
    const Instant begun = now();
    int empty = 0;
    for (std::size_t round = 0; total.requests < certificates && !bench_.interrupted(); ++round) {
      const auto& edge = cluster_.config().regions[round % regions].edges.front();
      load.url = "https://" + edge.address + ":" + std::to_string(edge.https_port) + "/v1/certificates";
      const double left = static_cast<double>(certificates - total.requests);
      const double rate = total.requests == 0 ? 4000 : std::max(total.per_second, 1.0);
      load.seconds = std::clamp(static_cast<int>(left / rate) + 1, 3, 10);
      EC_ASSIGN(const Rate rate_now, run_wrk(load, bench_.dir));
      // On a busy machine a short round may end before all its connections are made.
      empty = rate_now.requests == rate_now.failed ? empty + 1 : 0;
      if (empty == 3) {
        return fail(Code::kUnavailable, "nothing is issued: three rounds, and " + std::to_string(rate_now.failed) +
                                            " requests failed in the last");
      }
      total.requests += rate_now.requests - rate_now.failed;
      total.failed += rate_now.failed;
      total.per_second = static_cast<double>(total.requests) / seconds_since(begun);
      total.p50_ms = rate_now.p50_ms;
      total.p99_ms = std::max(total.p99_ms, rate_now.p99_ms);
      std::printf("\r  %llu certificates", static_cast<unsigned long long>(total.requests));
      std::fflush(stdout);
    }
    std::printf("\n");
    return total;
  }

  Status fill() {
    EC_ASSIGN(const Rate rate,
              issue(static_cast<std::uint64_t>(bench_.options.certificates), cluster_.config().regions.size()));
    line("issued over REST, p50 of the last round", rate);
    out_["filled"] = to_json(rate);
    memory("memory_filled_mb");
    out_["state_mb"] = folder_mb(cluster_.data_dir(kKilled, 1) + "/state");
    out_["log_mb"] = folder_mb(cluster_.data_dir(kKilled, 1) + "/log");
    line("state of a node on disk", out_["state_mb"], "MB");
    line("log of a node on disk", out_["log_mb"], "MB");
    return {};
  }

  // Killed, so that the log is read from the last flush of the state on.
  Status node_start() {
    cluster_.kill_region(kKilled);
    pause_for(6s);  // the others have fenced it
    const Instant begun = now();
    EC_TRY(start(kKilled));
    EC_TRY(until("the node answers", 120s, [&] { return heard(kKilled); }));
    out_["start_answers_s"] = seconds_since(begun);
    EC_TRY(until("the node is ready", 120s, [&] { return ready(kKilled); }));
    out_["start_ready_s"] = seconds_since(begun);
    line("node killed and started: it answers after", out_["start_answers_s"], "s");
    line("admitted again and ready after", out_["start_ready_s"], "s");
    memory("memory_started_mb");
    return {};
  }

  // Incompressible, as states are when they are written.
  Result<double> disk_mb_per_second(double mb) {
    const std::string path = bench_.dir + "/disk-speed";
    std::string block(256 << 10, '\0');
    os::secure_random().fill({reinterpret_cast<std::uint8_t*>(block.data()), block.size()});
    const Instant begun = now();
    const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    bool written = file >= 0;
    for (double left = mb; written && left > 0; left -= 0.25)
      written = ::write(file, block.data(), block.size()) == static_cast<ssize_t>(block.size());
    written = written && ::fdatasync(file) == 0;
    const double seconds = seconds_since(begun);
    if (file >= 0) ::close(file);
    ::unlink(path.c_str());
    if (!written) return fail(Code::kIo, "the disk's speed cannot be measured in " + path);
    return mb / seconds;
  }

  // The region's node comes back without anything that it had.
  Status snapshot() {
    const std::uint64_t all = certificates(0);
    cluster_.kill_region(kKilled);
    pause_for(6s);
    std::error_code ignored;
    std::filesystem::remove_all(cluster_.data_dir(kKilled, 1), ignored);
    // Nothing is asked of the cluster meanwhile: the new node has the clients' core to itself, as a machine of its own.
    const Instant begun = now();
    EC_TRY(start(kKilled, kClientCore));
    double peak = 0, first_data = 0, last_data = 0;
    EC_TRY(until("the new node has everything", 600s, [&] {
      peak = std::max(peak, resident_mb(cluster_.node_pid(kKilled, 0)));
      // Before, it starts, and asks the others what it may have forgotten.
      if (first_data == 0 && folder_mb(cluster_.data_dir(kKilled, 1) + "/state") > 1) first_data = seconds_since(begun);
      const bool has_all = certificates(kKilled) >= all;
      if (has_all && last_data == 0) last_data = seconds_since(begun);
      return has_all && leased(kKilled);
    }));
    const double seconds = seconds_since(begun), mb = folder_mb(cluster_.data_dir(kKilled, 1) + "/state");
    const double receiving = last_data - first_data;
    EC_ASSIGN(const double disk, disk_mb_per_second(mb));
    EC_TRY(until("the new node is ready", 120s, [&] { return ready(kKilled); }));
    out_["snapshot"] = {{"seconds", seconds},
                        {"state_mb", mb},
                        {"receiving_s", receiving},
                        {"mb_per_second", mb / receiving},
                        {"disk_mb_per_second", disk},
                        {"certificates_per_second", static_cast<double>(all) / seconds},
                        {"peak_mb", peak},
                        {"ready_s", seconds_since(begun)}};
    line("a node without a disk has everything after", seconds, "s");
    line("of which it receives for", receiving, "s");
    line("which is", mb / receiving, "MB of state, as it is on disk, a second");
    line("the disk alone takes as much, synced once, at", disk, "MB a second");
    line("its memory at most", peak, "MB resident");
    memory("memory_snapshot_mb");
    return {};
  }

  // Frozen, the processes of a region hear and say nothing, as behind a cut line; thawed, they know what they knew.
  Status readmission() {
    cluster_.freeze_region(kCutOff);
    EC_TRY(until("the region is fenced", 60s, [&] { return state_of(kCutOff) == "fenced"; }));
    const std::uint64_t before = certificates(0);
    EC_ASSIGN(const Rate rate, issue(kMissed, 2));
    line("issued while a region is cut off", rate);
    const std::uint64_t missed = certificates(0) - before;
    const Instant begun = now();
    cluster_.thaw_region(kCutOff);
    const std::uint64_t all = certificates(0);
    EC_TRY(until("the region has caught up", 300s, [&] { return certificates(kCutOff) >= all; }));
    const double caught_up = seconds_since(begun);
    EC_TRY(
        until("the region is admitted again", 120s, [&] { return state_of(kCutOff) == "serving" && ready(kCutOff); }));
    const double admitted = seconds_since(begun);
    out_["readmission"] = {{"missed", missed}, {"caught_up_s", caught_up}, {"admitted_s", admitted}};
    line("certificates that it missed", static_cast<double>(missed), "");
    line("caught up after", caught_up, "s");
    line("admitted again and ready after", admitted, "s");
    return {};
  }

  void memory(const char* name) {
    json all = json::array();
    for (std::size_t r = 0; r < cluster_.config().regions.size(); ++r) {
      all.push_back(resident_mb(cluster_.node_pid(r, 0)));
      line("node of " + cluster_.config().regions[r].name, all.back(), "MB resident");
    }
    out_[name] = all;
  }

  Status start(std::size_t region, int core = kServerCore) {
    const OnCore server(core);
    return cluster_.start_region(region);
  }

  Status until(const std::string& what, Duration patience, const std::function<bool()>& reached) {
    const Instant end = now() + patience;
    while (!reached()) {
      if (bench_.interrupted()) return fail(Code::kUnavailable, "interrupted");
      if (now() > end) return fail(Code::kUnavailable, "not in time: " + what);
      pause_for(50ms);
    }
    return {};
  }

  json status(std::size_t region) {
    const auto response = cluster_.client().ask_node(region, 0, "/v1/status");
    auto document = response ? json::parse(response->body, nullptr, false) : json();
    return document.is_object() ? document : json::object();
  }
  bool heard(std::size_t region) { return !status(region).empty(); }
  bool ready(std::size_t region) {
    const auto response = cluster_.client().ask_node(region, 0, "/readyz");
    return response && response->status == 200;
  }
  bool leased(std::size_t region) {
    const auto groups = status(region).value("groups", json::array());
    return !groups.empty() &&
           std::all_of(groups.begin(), groups.end(), [](const json& group) { return group.value("leased", false); });
  }
  std::uint64_t certificates(std::size_t region) { return status(region).value("certificates", std::uint64_t{0}); }
  // As the first region sees it.
  std::string state_of(std::size_t region) {
    const auto response = cluster_.client().ask_node(0, 0, "/v1/regions");
    const auto document = response ? json::parse(response->body, nullptr, false) : json();
    if (!document.is_object()) return {};
    for (const auto& one : document.value("regions", json::array())) {
      if (one.value("region", "") == cluster_.config().regions[region].name) return one.value("state", "");
    }
    return {};
  }

  Workbench& bench_;
  demo::LocalCluster& cluster_;
  json out_ = json::object();
};

}  // namespace

Status scale(Workbench& bench) {
  EC_TRY(bench.start_cluster("scale", false));
  return Scale(bench).run();
}

}  // namespace evercert::bench
