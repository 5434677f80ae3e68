// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "config/yaml_reader.h"

namespace evercert::sim {
namespace {

using config::YamlReader;
using Kind = PlannedFault::Kind;

constexpr Kind kKinds[] = {Kind::kKill,     Kind::kStop,     Kind::kWipe,      Kind::kTear,      Kind::kSlowDisk,
                           Kind::kFullDisk, Kind::kFailSync, Kind::kLoseWrite, Kind::kRotLog,    Kind::kRotState,
                           Kind::kErr,      Kind::kIsolate,  Kind::kCut,       Kind::kBridge,    Kind::kHeal,
                           Kind::kFence,    Kind::kDrain,    Kind::kMembers,   Kind::kAddRegion, Kind::kRemoveRegion};

constexpr double kLongest = 600;  // seconds
constexpr std::uint8_t kMostRegions = 5, kMostZones = 3, kMostSpares = 2;

class Reader {
 public:
  Reader(const std::string& path, Scenario& scenario) : yaml_(path), scenario_(scenario) {}

  Status read(const YAML::Node& root) {
    EC_TRY(yaml_.only(root, "scenario",
                      {"name", "seconds", "quiet_seconds", "layout", "network", "clocks", "workload", "faults", "swarm",
                       "checkers", "write_gap_seconds"}));
    EC_TRY(yaml_.required(root, "scenario", {"name"}));
    EC_TRY(yaml_.text(root, "name", scenario_.name));
    EC_TRY(seconds(root, "seconds", scenario_.duration));
    EC_TRY(seconds(root, "quiet_seconds", scenario_.quiet));
    EC_TRY(seconds(root, "write_gap_seconds", scenario_.checkers.write_gap));
    if (root["layout"]) EC_TRY(layout(root["layout"]));
    if (root["network"]) EC_TRY(network(root["network"]));
    if (root["clocks"]) EC_TRY(clocks(root["clocks"]));
    if (root["workload"]) EC_TRY(workload(root["workload"]));
    if (root["faults"]) EC_TRY(faults(root["faults"]));
    scenario_.swarm = scenario_.may_add = false;
    if (root["swarm"]) EC_TRY(swarm(root["swarm"]));
    if (root["checkers"]) EC_TRY(checkers(root["checkers"]));
    return {};
  }

 private:
  static Duration from_seconds(double s) { return Duration{std::llround(s * 1e6)}; }

  Status seconds(const YAML::Node& map, const char* key, Duration& out) const {
    double value = static_cast<double>(out.count()) / 1e6;
    EC_TRY(yaml_.number(map, key, 0, kLongest, value));
    out = from_seconds(value);
    return {};
  }
  // What the file leaves out stays open: `read` is asked only for what is there.
  template <class T, class Read>
  static Status if_given(const YAML::Node& map, const char* key, std::optional<T>& out, Read read) {
    if (!map[key]) return {};
    T value{};
    EC_TRY(read(value));
    out = value;
    return {};
  }
  Status seconds(const YAML::Node& map, const char* key, std::optional<Duration>& out) const {
    return if_given(map, key, out, [&](Duration& value) { return seconds(map, key, value); });
  }
  Status share(const YAML::Node& map, const char* key, std::optional<double>& out) const {
    return if_given(map, key, out, [&](double& value) { return yaml_.number(map, key, 0, 1, value); });
  }
  Status count(const YAML::Node& map, const char* key, std::optional<std::uint32_t>& out) const {
    return if_given(map, key, out, [&](std::uint32_t& value) { return yaml_.integer(map, key, 1, 10'000, value); });
  }
  Status flag(const YAML::Node& map, const char* key, std::optional<bool>& out) const {
    return if_given(map, key, out, [&](bool& value) { return yaml_.flag(map, key, value); });
  }

  Result<RegionId> region(const YAML::Node& name) const {
    std::string all;
    for (std::uint8_t r = 1; r <= scenario_.regions.size() + scenario_.added.size(); ++r) {
      const std::string known = region_name(scenario_, RegionId{r});
      if (name.IsScalar() && name.Scalar() == known) return RegionId{r};
      all += (all.empty() ? "" : ", ") + known;
    }
    return yaml_.wrong(name, "there is no region '" + (name.IsScalar() ? name.Scalar() : "") + "': there are " + all);
  }

  Status layout(const YAML::Node& node) {
    EC_TRY(yaml_.only(node, "layout", {"regions", "added", "witnesses", "zones", "spares"}));
    if (const YAML::Node regions = node["regions"]) {
      EC_TRY(yaml_.is_list(regions, "regions"));
      if (regions.size() < 1 || regions.size() > kMostRegions)
        return yaml_.wrong(regions, "'regions' must name one to five");
      scenario_.regions.clear();
      for (const YAML::Node& name : regions) {
        if (!name.IsScalar()) return yaml_.wrong(name, "a region is a name");
        scenario_.regions.push_back(name.Scalar());
      }
    }
    if (const YAML::Node added = node["added"]) {
      EC_TRY(yaml_.is_list(added, "added"));
      if (scenario_.regions.size() + added.size() > kMostRegions)
        return yaml_.wrong(added, "'regions' and 'added' must name five at the most");
      for (const YAML::Node& name : added) {
        if (!name.IsScalar()) return yaml_.wrong(name, "a region is a name");
        scenario_.added.push_back(name.Scalar());
      }
    }
    if (const YAML::Node witnesses = node["witnesses"]) {
      EC_TRY(yaml_.is_list(witnesses, "witnesses"));
      std::size_t first = 0;  // since the beginning
      for (const YAML::Node& name : witnesses) {
        EC_ASSIGN(const RegionId id, region(name));
        first += id.value <= scenario_.regions.size() ? 1 : 0;
        scenario_.witnesses.push_back(name.Scalar());
      }
      const std::size_t all = scenario_.regions.size() + scenario_.added.size();
      if (scenario_.regions.size() < first + 2) return yaml_.wrong(witnesses, "two regions at least must keep records");
      if (2 * first > scenario_.regions.size() || 2 * scenario_.witnesses.size() > all)
        return yaml_.wrong(witnesses, "'witnesses' must not be a majority by themselves");
    }
    if (node["zones"]) {
      std::uint8_t zones = 1;
      EC_TRY(yaml_.integer(node, "zones", 1, kMostZones, zones));
      if (zones == 2) return yaml_.wrong(node["zones"], "'zones' must be 1 or 3: two have no majority without both");
      scenario_.zones = zones;
    }
    return if_given(node, "spares", scenario_.spares,
                    [&](std::uint8_t& spares) { return yaml_.integer(node, "spares", 0, kMostSpares, spares); });
  }

  Status network(const YAML::Node& node) {
    EC_TRY(yaml_.only(node, "network", {"wan", "loss", "late", "late_by_seconds", "split", "jitter", "round_trips"}));
    EC_TRY(flag(node, "wan", scenario_.wan));
    EC_TRY(share(node, "loss", scenario_.loss));
    EC_TRY(share(node, "late", scenario_.late));
    EC_TRY(share(node, "split", scenario_.split));
    EC_TRY(share(node, "jitter", scenario_.jitter));
    EC_TRY(seconds(node, "late_by_seconds", scenario_.late_by));
    if (!node["round_trips"]) return {};
    EC_TRY(yaml_.is_list(node["round_trips"], "round_trips"));
    for (const YAML::Node& link : node["round_trips"]) {
      EC_TRY(yaml_.only(link, "round_trips", {"between", "and", "ms"}));
      EC_TRY(yaml_.required(link, "round_trips", {"between", "and", "ms"}));
      EC_ASSIGN(const RegionId a, region(link["between"]));
      EC_ASSIGN(const RegionId b, region(link["and"]));
      double ms = 0;
      EC_TRY(yaml_.number(link, "ms", 0, 1000, ms));
      scenario_.round_trips[{std::min(a, b), std::max(a, b)}] = from_seconds(ms / 1000);
    }
    return {};
  }

  Status clocks(const YAML::Node& node) {
    EC_TRY(yaml_.only(node, "clocks", {"drift", "speeds"}));
    EC_TRY(share(node, "drift", scenario_.drift));
    if (!node["speeds"]) return {};
    EC_TRY(yaml_.is_map(node["speeds"], "speeds"));
    for (const auto& entry : node["speeds"]) {
      EC_ASSIGN(const RegionId id, region(entry.first));
      double speed = 1;
      EC_TRY(yaml_.number(node["speeds"], entry.first.Scalar().c_str(), 0.9, 1.1, speed));
      scenario_.clock_speeds[id] = speed;
    }
    return {};
  }

  Status workload(const YAML::Node& node) {
    EC_TRY(yaml_.only(node, "workload", {"clients", "pause_seconds", "mix", "recent"}));
    EC_TRY(count(node, "clients", scenario_.clients));
    EC_TRY(count(node, "recent", scenario_.recent));
    if (const YAML::Node pause = node["pause_seconds"]) {
      EC_TRY(yaml_.only(pause, "pause_seconds", {"min", "max"}));
      EC_TRY(yaml_.required(pause, "pause_seconds", {"min", "max"}));
      EC_TRY(seconds(pause, "min", scenario_.pause_min));
      EC_TRY(seconds(pause, "max", scenario_.pause_max));
      if (*scenario_.pause_max < 1ms || *scenario_.pause_max < *scenario_.pause_min)
        return yaml_.wrong(pause["max"], "'max' must be at least 0.001 and not below 'min'");
    }
    if (const YAML::Node mix = node["mix"]) {
      EC_TRY(yaml_.only(mix, "mix", {"writes", "revocations", "abroad", "others"}));
      EC_TRY(share(mix, "writes", scenario_.writes));
      EC_TRY(share(mix, "revocations", scenario_.revocations));
      EC_TRY(share(mix, "abroad", scenario_.abroad));
      EC_TRY(share(mix, "others", scenario_.others));
    }
    return {};
  }

  // "us-east-1", or "us-east-1/2" for the node in its second zone.
  Status target(const YAML::Node& text, PlannedFault& fault) const {
    const std::string name = text.IsScalar() ? text.Scalar() : "";
    const auto slash = name.find('/');
    if (slash == std::string::npos) {
      EC_ASSIGN(fault.region, region(text));
      return {};
    }
    YAML::Node region_name(name.substr(0, slash));
    const auto known = region(region_name);
    const std::string zone = name.substr(slash + 1);
    const bool sound = zone.size() == 1 && zone[0] >= '1' &&
                       zone[0] <= static_cast<char>('0' + scenario_.zones.value_or(1) + scenario_.spares.value_or(0));
    if (!known || !sound)
      return yaml_.wrong(text, "'" + name + "' names no node: region/zone, with a zone of 'layout'");
    fault.region = *known;
    fault.zone = static_cast<std::uint8_t>(zone[0] - '0');
    return {};
  }

  Status faults(const YAML::Node& node) {
    EC_TRY(yaml_.is_list(node, "faults"));
    for (const YAML::Node& entry : node) {
      EC_TRY(yaml_.only(entry, "faults",
                        {"at",         "for",     "every",     "until",   "to",         "by_ms",        "where",
                         "kill",       "stop",    "wipe",      "tear",    "slow_disk",  "full_disk",    "fail_sync",
                         "lose_write", "rot_log", "rot_state", "err",     "isolate",    "cut",          "bridge",
                         "heal",       "fence",   "drain",     "members", "add_region", "remove_region"}));
      PlannedFault fault;
      EC_TRY(yaml_.required(entry, "faults", {"at"}));
      EC_TRY(seconds(entry, "at", fault.at));
      EC_TRY(lasting(entry, fault));
      EC_TRY(seconds(entry, "every", fault.every));
      if (fault.every && *fault.every < 1ms) return yaml_.wrong(entry["every"], "'every' must be at least 0.001");
      if (fault.every) EC_TRY(yaml_.required(entry, "faults", {"until"}));
      EC_TRY(seconds(entry, "until", fault.until));
      std::uint32_t where = 0;
      EC_TRY(yaml_.integer(entry, "where", 1, UINT32_MAX, where));
      fault.where = where;
      EC_TRY(kind(entry, fault));
      scenario_.plan.push_back(fault);
    }
    return {};
  }

  // "for: 3", or "for: healed" of links.
  Status lasting(const YAML::Node& entry, PlannedFault& fault) const {
    const YAML::Node text = entry["for"];
    fault.until_healed = text && text.IsScalar() && text.Scalar() == "healed";
    return fault.until_healed ? Status{} : seconds(entry, "for", fault.lasting);
  }

  Status members(const YAML::Node& list, PlannedFault& fault) const {
    EC_TRY(yaml_.is_list(list, "members"));
    for (const YAML::Node& name : list) {
      PlannedFault one;
      EC_TRY(target(name, one));
      if (!one.zone) return yaml_.wrong(name, "a member is a node: name its zone, as in 'us-east-1/1'");
      fault.members.push_back(node_id(one.region, *one.zone));
    }
    std::sort(fault.members.begin(), fault.members.end());
    return fault.members.empty() ? yaml_.wrong(list, "'members' must name at least one node") : Status{};
  }

  Status kind(const YAML::Node& entry, PlannedFault& fault) const {
    int found = 0;
    std::string all;
    for (const Kind kind : kKinds) {
      const std::string word(to_string(kind));
      all += (all.empty() ? "" : ", ") + word;
      if (!entry[word]) continue;
      ++found;
      fault.kind = kind;
      if (kind == Kind::kMembers) {
        EC_TRY(members(entry[word], fault));
      } else if (kind != Kind::kHeal) {
        EC_TRY(target(entry[word], fault));
      }
    }
    if (found != 1) return yaml_.wrong(entry, "a fault is one of " + all);
    const bool two_regions = fault.kind == Kind::kCut || fault.kind == Kind::kBridge;
    if (fault.zone && (fault.kind == Kind::kFence || fault.kind == Kind::kDrain || fault.kind == Kind::kRemoveRegion))
      return yaml_.wrong(entry, "an operator fences, drains and removes regions: name no zone");
    if (fault.zone && (two_regions || fault.kind == Kind::kIsolate))
      return yaml_.wrong(entry, "links are cut between regions: name no zone");
    if (fault.kind == Kind::kWipe && !fault.zone)
      return yaml_.wrong(entry["wipe"], "one node loses its disk: name its zone, as in 'us-east-1/1'");
    if (fault.kind == Kind::kAddRegion && (fault.zone || fault.region.value <= scenario_.regions.size()))
      return yaml_.wrong(entry["add_region"], "a region that is added is one of 'added' in 'layout': name no zone");
    if (two_regions) {
      EC_TRY(yaml_.required(entry, "faults", {"to"}));
      EC_ASSIGN(fault.to, region(entry["to"]));
    }
    if (fault.kind == Kind::kSlowDisk) {
      EC_TRY(yaml_.required(entry, "faults", {"by_ms"}));
      double ms = 0;
      EC_TRY(yaml_.number(entry, "by_ms", 0, 10'000, ms));
      fault.by = from_seconds(ms / 1000);
    }
    return {};
  }

  Status swarm(const YAML::Node& node) {
    scenario_.swarm = true;
    if (node.IsScalar()) {
      bool on = true;
      if (!YAML::convert<bool>::decode(node, on))
        return yaml_.wrong(node, "'swarm' must be true, false or a map of weights");
      scenario_.swarm = on;
      return {};
    }
    EC_TRY(yaml_.only(node, "swarm",
                      {"region_alone", "one_way", "bridge", "flapping", "heal", "region_dies", "node_dies",
                       "process_ends", "torn_write", "disk_lost", "disk_slow", "disk_full", "sync_fails", "write_lost",
                       "log_rots", "state_rots", "operator_fences", "operator_drains", "members_change"}));
    for (const auto& entry : node) {
      const std::string name = entry.first.Scalar();
      EC_TRY(yaml_.number(node, name.c_str(), 0, 100, scenario_.swarm_weights[name]));
    }
    return {};
  }

  Status checkers(const YAML::Node& node) {
    EC_TRY(yaml_.is_list(node, "checkers"));
    auto& all = scenario_.checkers;
    const std::pair<const char*, bool*> names[] = {
        {"leaders", &all.leaders},         {"logs", &all.logs},
        {"freshness", &all.freshness},     {"durability", &all.durability},
        {"convergence", &all.convergence}, {"linearizability", &all.linearizability},
        {"membership", &all.membership},   {"across_regions", &all.across_regions}};
    for (const auto& [name, on] : names) *on = false;
    for (const YAML::Node& wanted : node) {
      bool known = false;
      for (const auto& [name, on] : names) {
        if (wanted.IsScalar() && wanted.Scalar() == name) *on = known = true;
      }
      if (!known)
        return yaml_.wrong(wanted,
                           "unknown checker: known are leaders, logs, freshness, durability, convergence, "
                           "linearizability, membership, across_regions");
    }
    return {};
  }

  YamlReader yaml_;
  Scenario& scenario_;
};

template <class T>
void fix(T& drawn, const std::optional<T>& fixed) {
  if (fixed) drawn = *fixed;
}

}  // namespace

Result<Scenario> load_scenario(const std::string& path, const std::string& text) {
  Scenario scenario;
  try {
    EC_TRY(Reader(path, scenario).read(YAML::Load(text)));
  } catch (const YAML::Exception& error) {
    return fail(Code::kInvalid, path + ":" + std::to_string(error.mark.line + 1) + ":" +
                                    std::to_string(error.mark.column + 1) + ": " + error.msg);
  }
  return scenario;
}

std::string region_name(const Scenario& scenario, RegionId region) {
  const std::size_t place = region.value - 1u, founding = scenario.regions.size();
  if (place < founding) return scenario.regions[place];
  return place - founding < scenario.added.size() ? scenario.added[place - founding]
                                                  : "added-" + std::to_string(region.value);
}

RunOptions draw(const Scenario& scenario, std::uint64_t seed) {
  SeededRandom random(seed);
  // Everything is drawn, whatever the scenario fixes: one more fixed parameter leaves the others of a seed alone.
  RunOptions run;
  run.seed = seed;
  run.world = WorldOptions::draw(random);
  run.swarm = SwarmOptions::draw(random);
  run.workload.pause_max = random.between(10ms, 120ms);
  run.workload.revocations = random.uniform();
  run.workload.others = random.chance(0.3) ? 0 : random.uniform() * 0.6;

  run.world.regions = static_cast<std::uint8_t>(scenario.regions.size());
  run.world.added = static_cast<std::uint8_t>(scenario.added.size());
  fix(run.world.zones, scenario.zones);
  fix(run.world.spares, scenario.spares);
  if (!scenario.swarm && !scenario.spares) run.world.spares = 0;
  fix(run.world.wan, scenario.wan);
  fix(run.world.loss, scenario.loss);
  fix(run.world.late, scenario.late);
  fix(run.world.split, scenario.split);
  fix(run.world.late_by, scenario.late_by);
  fix(run.world.jitter, scenario.jitter);
  fix(run.world.drift, scenario.drift);
  for (std::uint8_t r = 1; r <= scenario.regions.size() + scenario.added.size(); ++r) {
    const std::string name = region_name(scenario, RegionId{r});
    if (std::ranges::find(scenario.witnesses, name) != scenario.witnesses.end())
      run.world.witnesses |= store::region_bit(RegionId{r});
  }
  SeededRandom watching(seed ^ 0x7769746e657373ull);
  if (scenario.may_add && watching.chance(0.15))
    run.world.witnesses = store::region_bit(RegionId{static_cast<std::uint8_t>(1 + watching.below(run.world.regions))});
  run.world.round_trips = scenario.round_trips;
  run.world.clock_speeds = scenario.clock_speeds;
  run.world.bug = scenario.bug;
  for (const auto& [name, weight] : scenario.swarm_weights) run.swarm.*swarm_names().at(name) = weight;
  fix(run.workload.clients, scenario.clients);
  fix(run.workload.pause_min, scenario.pause_min);
  fix(run.workload.pause_max, scenario.pause_max);
  fix(run.workload.writes, scenario.writes);
  fix(run.workload.revocations, scenario.revocations);
  fix(run.workload.abroad, scenario.abroad);
  fix(run.workload.others, scenario.others);
  fix(run.workload.recent, scenario.recent);

  run.duration = scenario.duration;
  run.quiet = scenario.quiet;
  run.checkers = scenario.checkers;
  run.faults = each(scenario.plan);
  SeededRandom faults(seed ^ 0x6661756c7473ull);
  for (PlannedFault& fault : run.faults) {
    const std::uint64_t place = draw_where(fault.kind, faults);
    if (fault.where == 0) fault.where = place;
  }
  if (scenario.swarm) {
    const auto drawn = draw_faults(run.swarm, run.world, run.duration, faults);
    run.faults.insert(run.faults.end(), drawn.begin(), drawn.end());
  }
  SeededRandom adding(seed ^ 0x726567696f6eull);
  if (scenario.may_add && adding.chance(0.15)) {
    run.world.added = 1;
    PlannedFault& add = run.faults.emplace_back();
    add.kind = Kind::kAddRegion;
    add.region = RegionId{static_cast<std::uint8_t>(run.world.regions + 1)};
    add.at = std::chrono::duration_cast<std::chrono::milliseconds>(adding.between(500ms, 12s));
    add.where = draw_where(add.kind, adding);
    const bool most = 2 * (std::popcount(run.world.witnesses) + 1) > run.world.regions + 1;
    if (run.world.regions > 1 && !most && adding.chance(0.3)) run.world.witnesses |= store::region_bit(add.region);
  }
  SeededRandom removing(seed ^ 0x72656d6f7665ull);
  if (scenario.may_add && run.world.regions > 2 && removing.chance(0.1)) {
    PlannedFault& remove = run.faults.emplace_back();
    remove.kind = Kind::kRemoveRegion;
    remove.region = RegionId{static_cast<std::uint8_t>(1 + removing.below(run.world.regions))};
    // Two that keep records are to be left.
    const store::RegionSet witnesses = store::first_regions(run.world.witnesses, run.world.regions);
    if (run.world.regions - std::popcount(witnesses) < 3 && witnesses != 0)
      remove.region = RegionId{static_cast<std::uint8_t>(std::countr_zero(witnesses))};
    remove.at = std::chrono::duration_cast<std::chrono::milliseconds>(removing.between(2s, 14s));
  }
  return run;
}

}  // namespace evercert::sim
