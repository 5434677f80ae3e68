// SPDX-License-Identifier: Apache-2.0
// How much the cluster carries, by ctl: capacity.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "commands.h"
#include "ctl_client.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

std::string until(const json& d, const char* name) {
  if (!d.value("trend_known", false)) return "not known yet: a quarter of an hour is needed";
  if (!d.contains(name) || d[name].is_null()) return "not in sight";
  const auto seconds = d[name].get<std::int64_t>();
  if (seconds <= 0) return "it is lost already";
  if (seconds < 7200) return "in " + std::to_string(seconds / 60) + " min";
  if (seconds < 172800) return "in " + std::to_string(seconds / 3600) + " h";
  return "in " + std::to_string(seconds / 86400) + " days";
}

// "0.12 of 2.0"; "-" where it is not known, or there is none.
std::string of(const json& region, const char* used, const char* there, int digits) {
  const json a = region.value(used, json()), b = region.value(there, json());
  if (!a.is_number() || !b.is_number()) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f of %.*f", digits, a.get<double>(), digits == 0 ? 0 : 1, b.get<double>());
  return text;
}

void print_report(const json& d) {
  if (d.value("cores", 0.0) <= 0) {
    std::printf("this node has just started and has measured nothing yet: ask again in ten seconds\n");
    return;
  }
  std::printf("%-16s %5s %10s %13s %13s %13s %16s\n", "REGION", "NODES", "REQUESTS/S", "BUSY OF CORES", "EDGES",
              "SIGNATURES/S", "MOST REQUESTS/S");
  for (const auto& region : d.value("regions", json::array())) {
    const json most = region.value("most_requests_per_second", json());
    std::printf("%-16s %5d %10.1f %13s %13s %13s %16s\n", region.value("region", "").c_str(), region.value("nodes", 0),
                region.value("requests_per_second", 0.0), of(region, "busy", "cores", 2).c_str(),
                of(region, "edges_busy", "edges_cores", 2).c_str(),
                of(region, "signatures_per_second", "most_signatures_per_second", 0).c_str(),
                most.is_number() ? std::to_string(static_cast<long long>(most.get<double>())).c_str() : "-");
  }
  const json may = d.value("regions_may_fail", json::object()), zones = d.value("zones_may_fail", json::object());
  std::printf("\nmay fail: %d regions and %d zones at today's load, %d and %d at the peak of the last %lld h\n",
              may.value("now", 0), zones.value("now", 0), may.value("peak", 0), zones.value("peak", 0),
              (d.value("watched_seconds", 0LL) + 3599) / 3600);
  for (const auto& region : d.value("regions", json::array())) {
    if (const json why = region.value("carries_nothing", json()); why.is_string())
      std::printf("%s counts as nothing: %s\n", region.value("region", "").c_str(), why.get<std::string>().c_str());
  }
  for (const auto& region : d.value("regions", json::array())) {
    if (const json bound = region.value("bound_by", json()); bound.is_string())
      std::printf("in %s, %s would be used up first\n", region.value("region", "").c_str(),
                  bound.get<std::string>().c_str());
  }
  std::printf("issuance needs a majority of the regions: %d more may fail, whatever the processors\n\n",
              may.value("by_majority", 0));
  std::printf("%-24s %8s %12s %8s  %-18s %s\n", "AT THE PEAK, WITHOUT", "CORES", "UTILISATION", "WAIT", "HEADROOM",
              "USED UP FIRST");
  for (const auto& after : d.value("after", json::array())) {
    const double headroom = after.value("headroom", 0.0);
    char headroom_text[48];
    std::snprintf(headroom_text, sizeof headroom_text, "%.1f cores %s", headroom < 0 ? -headroom : headroom,
                  headroom < 0 ? "lacking" : "left");
    std::printf("%-24s %8.1f %10.0f %% %6.0f %%  %-18s %s, %.0f %%\n",
                (std::to_string(after.value("regions_failed", 0)) + " regions").c_str(), after.value("cores", 0.0),
                100 * after.value("utilisation", 0.0), 100 * after.value("waiting", 0.0), headroom_text,
                after.value("bound_by", "").c_str(), 100 * after.value("bound_utilisation", 0.0));
  }
  std::printf("\ngrowth takes away N+1 %s, N+2 %s\n", until(d, "seconds_until_n1_is_lost").c_str(),
              until(d, "seconds_until_n2_is_lost").c_str());
}

// 0: at least one region may fail at the peak; 1: none may, or nobody answers.
int capacity(const CtlOptions& options) {
  auto ctl = Ctl::open(options);
  if (!ctl) return report(ctl.error());
  auto response = ctl->call("GET", "/v1/capacity");
  const auto document = response ? json::parse(response->body, nullptr, false) : json();
  const bool n1 = document.is_object() && document.value("regions_may_fail", json::object()).value("peak", 0) > 0;
  const int shown = show(options, std::move(response), print_report);
  return shown != 0 ? shown : n1 ? 0 : 1;
}

}  // namespace

void register_ctl_capacity(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code) {
  ctl.add_subcommand("capacity",
                     "What the regions carry and could, how many may fail, and when growth changes that, as a node has "
                     "measured it. Exit code 1: no region may fail at the peak")
      ->callback([=, &exit_code] { exit_code = capacity(*options); });
}

}  // namespace evercert::apps
