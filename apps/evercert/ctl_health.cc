// SPDX-License-Identifier: Apache-2.0
// How well the cluster is, by ctl: health.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "commands.h"
#include "ctl_client.h"
#include "health/foresight.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

void print_ending(const json& e) {
  const auto left = e.value("ends_in_seconds", std::int64_t{0});
  std::printf("  %-30s %s%s\n", e.value("what", "").c_str(),
              left <= 0 ? "is over" : ("ends in " + health::in_words(left)).c_str(),
              e.value("late", false) ? "  !! should have been renewed by now" : "");
}

void print_forecast(const json& f) {
  const std::string what = f.value("what", "");
  const auto warnings = f.value("warnings", std::uint64_t{0}), came = f.value("warnings_that_came", std::uint64_t{0});
  const std::string judged =
      warnings == 0 ? "" : " (of " + std::to_string(warnings) + " warnings " + std::to_string(came) + " came true)";
  if (!f.value("known", false))
    return (void)std::printf("  %-16s not enough is known yet%s\n", what.c_str(), judged.c_str());
  const bool passes = f.contains("passes_in_seconds") && f["passes_in_seconds"].is_number();
  std::printf("  %-16s %.2f %s, %s%s\n", what.c_str(), f.value("value", 0.0), f.value("unit", "").c_str(),
              passes ? ("passes " + json(f.value("limit", 0.0)).dump() + " in " +
                        health::in_words(f.value("passes_in_seconds", std::int64_t{0})))
                           .c_str()
                     : "no limit in sight",
              judged.c_str());
}

void print_health(const json& d) {
  std::printf("globe %s\n\n%-20s %5s  %s\n", d.value("globe", json::object()).value("text", "").c_str(), "REGION",
              "SCORE", "WHY");
  for (const auto& region : d.value("regions", json::array())) {
    const std::string text = region.value("text", "");
    const auto colon = text.find(": ");
    std::printf("%-20s %5.0f  %s%s\n", region.value("region", "").c_str(), region.value("score", 0.0),
                region.value("out", false) ? "OUT: " : "", colon == std::string::npos ? "" : text.c_str() + colon + 2);
    const json services = region.value("services", json::object());
    for (const auto& [name, service] : services.items())
      std::printf("  %-18s %5.0f\n", name.c_str(), service.value("score", 0.0));
  }
  for (const auto& witness : d.value("witnesses", json::array()))
    std::printf("%-20s %5.0f  a witness%s\n", witness.value("witness", "").c_str(), witness.value("score", 0.0),
                witness.value("score", 0.0) >= 100 ? "" : (": " + witness.value("text", "")).c_str());
  std::printf("\nforecasts of node %lld\n", static_cast<long long>(d.value("seen_by", 0)));
  for (const auto& forecast : d.value("forecasts", json::array())) print_forecast(forecast);
  for (const auto& ending : d.value("endings", json::array())) print_ending(ending);
}

// 0: no region and no witness is at 0; 1: one is, or nobody answers.
int show_health(const CtlOptions& options) {
  auto ctl = Ctl::open(options);
  if (!ctl) return report(ctl.error());
  auto response = ctl->call("GET", "/v1/health");
  bool down = false;
  const auto document = response ? json::parse(response->body, nullptr, false) : json();
  if (document.is_object()) {
    for (const char* of : {"regions", "witnesses"}) {
      for (const auto& each : document.value(of, json::array())) down |= each.value("score", 0.0) <= 0;
    }
  }
  const int shown = show(options, std::move(response), print_health);
  return shown != 0 ? shown : down ? 1 : 0;
}

}  // namespace

void register_ctl_health(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code) {
  ctl.add_subcommand("health",
                     "Scores from 0 to 100 of the globe, its regions and their services, with the reasons, as a node "
                     "sees them; and "
                     "where measured values are going. Exit code 1: a region or a witness is at 0")
      ->callback([=, &exit_code] { exit_code = show_health(*options); });
}

}  // namespace evercert::apps
