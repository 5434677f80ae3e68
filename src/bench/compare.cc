// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <map>

#include "bench/workbench.h"

namespace evercert::bench {
namespace {

using nlohmann::json;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// "1234 (1200 to 1300)", the range when there are several.
std::string with_range(const std::vector<double>& values, int digits) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  char text[96];
  if (values.size() == 1) {
    std::snprintf(text, sizeof text, "%.*f", digits, values[0]);
    return text;
  }
  std::snprintf(text, sizeof text, "%.*f (%.*f to %.*f)", digits, median(values), digits, *low, digits, *high);
  return text;
}

json summary(const std::vector<Rate>& runs) {
  std::vector<double> rates, p50, p99;
  Rate total;
  for (const Rate& run : runs) {
    rates.push_back(run.per_second);
    p50.push_back(run.p50_ms);
    p99.push_back(run.p99_ms);
    total.requests += run.requests;
    total.failed += run.failed;
  }
  total.per_second = median(rates);
  total.p50_ms = median(p50);
  total.p99_ms = median(p99);
  json out = to_json(total);
  out["runs_per_second"] = rates;
  return out;
}

using Runs = std::map<int, std::vector<Rate>>;  // by load

// The best rate over the loads, run by run.
std::vector<double> best_rates(const Runs& runs) {
  std::vector<double> best;
  for (const auto& [load, rates] : runs) {
    best.resize(std::max(best.size(), rates.size()));
    for (std::size_t run = 0; run < rates.size(); ++run) best[run] = std::max(best[run], rates[run].per_second);
  }
  return best;
}

void tell_ratio(json& out, const std::string& name, const std::vector<double>& ours,
                const std::vector<double>& theirs) {
  std::vector<double> ratios;
  for (std::size_t run = 0; run < std::min(ours.size(), theirs.size()); ++run) {
    if (theirs[run] > 0) ratios.push_back(ours[run] / theirs[run]);
  }
  if (ratios.empty()) {
    std::printf("  %-48s nothing to compare with: bench/build_peers.sh builds the peers\n", name.c_str());
    return;
  }
  out[name] = median(ratios);
  out[name + "_runs"] = ratios;
  std::printf("  %-48s %s times\n", name.c_str(), with_range(ratios, 2).c_str());
  std::fflush(stdout);
}

}  // namespace

Status compare(const Workbench& bench, const std::vector<int>& usual_loads, const std::vector<Contender>& contenders,
               json& out) {
  const auto& loads = bench.options.at_once.empty() ? usual_loads : bench.options.at_once;
  std::map<std::string, Runs> measured;
  for (int run = 0; run < bench.options.runs; ++run) {
    for (const int load : loads) {
      for (const Contender& contender : contenders) {
        if (bench.interrupted()) return {};
        EC_ASSIGN(const auto rate, contender.measure(load));
        if (!rate) continue;
        const std::string words = contender.words + ", " + std::to_string(load) + " at once";
        line(words, *rate);
        if (rate->failed > rate->requests / 100)
          return fail(Code::kUnavailable, words + ": fails too often to be compared");
        measured[contender.name][load].push_back(*rate);
      }
    }
  }
  for (const Contender& contender : contenders) {
    for (const auto& [load, runs] : measured[contender.name]) {
      out[contender.name + "_" + std::to_string(load)] = summary(runs);
      if (runs.size() < 2) continue;
      std::vector<double> rates;
      for (const Rate& rate : runs) rates.push_back(rate.per_second);
      std::printf("  %-48s %s a second, median of %zu\n",
                  (contender.words + ", " + std::to_string(load) + " at once").c_str(), with_range(rates, 0).c_str(),
                  runs.size());
    }
  }
  for (const Contender& ours : contenders) {
    for (const Contender& theirs : contenders) {
      if (!ours.ours || theirs.ours) continue;
      tell_ratio(out, ours.name + "_to_" + theirs.name, best_rates(measured[ours.name]),
                 best_rates(measured[theirs.name]));
    }
  }
  return {};
}

}  // namespace evercert::bench
