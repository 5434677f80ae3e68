// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "sim/scenario.h"

namespace evercert::sim {
namespace {

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}
std::string seconds(Duration d) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(d.count()) / 1e6);
  std::string out = text;
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.')) out.pop_back();
  return out;
}

class Writer {
 public:
  Writer(const Scenario& scenario, const RunOptions& run) : scenario_(scenario), run_(run) {}

  std::string write() {
    const auto& w = run_.world;
    const auto& c = run_.workload;
    std::string regions;
    for (const auto& name : scenario_.regions) regions += (regions.empty() ? "" : ", ") + name;
    out_ = "name: " + scenario_.name + ", seed " + std::to_string(run_.seed) + "\n";
    out_ += "seconds: " + seconds(run_.duration) + "\nquiet_seconds: " + seconds(run_.quiet) + "\n";
    std::string added;
    for (std::uint8_t r = 1; r <= w.added; ++r)
      added += (added.empty() ? "" : ", ") + region(RegionId{static_cast<std::uint8_t>(w.regions + r)});
    out_ += "layout:\n  regions: [" + regions + "]\n";
    if (w.added > 0) out_ += "  added: [" + added + "]\n";
    std::string witnesses;
    for (std::uint8_t r = 1; r <= w.regions + w.added; ++r) {
      if ((w.witnesses & store::region_bit(RegionId{r})) != 0)
        witnesses += (witnesses.empty() ? "" : ", ") + region(RegionId{r});
    }
    if (!witnesses.empty()) out_ += "  witnesses: [" + witnesses + "]\n";
    out_ += "  zones: " + std::to_string(w.zones) + "\n  spares: " + std::to_string(w.spares) + "\n";
    out_ += "network:\n  wan: " + std::string(w.wan ? "true" : "false") + "\n  loss: " + number(w.loss) +
            "\n  late: " + number(w.late) + "\n  late_by_seconds: " + seconds(w.late_by) +
            "\n  split: " + number(w.split) + "\n  jitter: " + number(w.jitter) + "\n";
    if (!w.round_trips.empty()) out_ += "  round_trips:\n";
    for (const auto& [link, d] : w.round_trips) {
      out_ += "    - {between: " + region(link.first) + ", and: " + region(link.second) +
              ", ms: " + number(static_cast<double>(d.count()) / 1000) + "}\n";
    }
    out_ += "clocks:\n  drift: " + number(w.drift) + "\n";
    if (!w.clock_speeds.empty()) out_ += "  speeds:\n";
    for (const auto& [id, speed] : w.clock_speeds) out_ += "    " + region(id) + ": " + number(speed) + "\n";
    out_ += "workload:\n  clients: " + std::to_string(c.clients) + "\n  pause_seconds: {min: " + seconds(c.pause_min) +
            ", max: " + seconds(c.pause_max) + "}\n  mix: {writes: " + number(c.writes) +
            ", revocations: " + number(c.revocations) + ", abroad: " + number(c.abroad) +
            ", others: " + number(c.others) + "}\n  recent: " + std::to_string(c.recent) + "\n";
    out_ += run_.faults.empty() ? "faults: []\n" : "faults:\n";
    for (const PlannedFault& fault : run_.faults) write(fault);
    const auto& all = run_.checkers;
    std::string checkers;
    for (const auto& [name, on] : {std::pair{"leaders", all.leaders},
                                   {"logs", all.logs},
                                   {"freshness", all.freshness},
                                   {"durability", all.durability},
                                   {"convergence", all.convergence},
                                   {"linearizability", all.linearizability},
                                   {"membership", all.membership},
                                   {"across_regions", all.across_regions}}) {
      if (on) checkers += (checkers.empty() ? "" : ", ") + std::string(name);
    }
    out_ += "checkers: [" + checkers + "]\n";
    if (all.write_gap) out_ += "write_gap_seconds: " + seconds(*all.write_gap) + "\n";
    return std::move(out_);
  }

 private:
  using Kind = PlannedFault::Kind;

  std::string region(RegionId id) const { return region_name(scenario_, id); }

  void write(const PlannedFault& fault) {
    out_ += "  - {at: " + seconds(fault.at) + ", " + std::string(to_string(fault.kind)) + ": ";
    if (fault.kind == Kind::kMembers) {
      std::string names;
      for (const NodeId node : fault.members)
        names += (names.empty() ? "" : ", ") + region(region_of(node)) + "/" + std::to_string(node.value % 256);
      out_ += "[" + names + "]}\n";
      return;
    }
    out_ += fault.kind == Kind::kHeal ? "all" : region(fault.region);
    if (fault.zone) out_ += "/" + std::to_string(*fault.zone);
    if (fault.kind == Kind::kCut || fault.kind == Kind::kBridge) out_ += ", to: " + region(fault.to);
    if (fault.kind == Kind::kSlowDisk) out_ += ", by_ms: " + number(static_cast<double>(fault.by.count()) / 1000);
    if (fault.where != 0) out_ += ", where: " + std::to_string(fault.where);
    out_ += ", for: " + (fault.until_healed ? "healed" : seconds(fault.lasting)) + "}\n";
  }

  const Scenario& scenario_;
  const RunOptions& run_;
  std::string out_;
};

}  // namespace

std::string to_yaml(const Scenario& scenario, const RunOptions& run) { return Writer(scenario, run).write(); }

}  // namespace evercert::sim
