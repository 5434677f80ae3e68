// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/observation.h"

#include "recovery/failover/json_fields.h"

namespace evercert::recovery {
namespace {

using nlohmann::json;

constexpr std::size_t kMostParts = 2048, kLongestText = 600, kLongestName = 64;
constexpr std::uint64_t kMostRegion = 255, kMostNode = 65535;
constexpr double kMostRate = 1e9;
constexpr std::int64_t kMostEdges = 10'000;

}  // namespace

std::string to_json(const Observation& o) {
  json scores = json::object(), out = json::object(), nodes = json::object(), silent = json::object();
  for (const auto& [region, score] : o.scores) scores[std::to_string(region.value)] = score;
  for (const auto& [region, why] : o.out) out[std::to_string(region.value)] = why.substr(0, kLongestText);
  for (const auto& [node, score] : o.nodes) nodes[std::to_string(node.value)] = score;
  for (const auto& [node, for_long] : o.silent) silent[std::to_string(node.value)] = to_ms(for_long);
  json groups = json::array();
  for (const auto& group : o.groups) {
    groups.push_back({{"group", group.group.value},
                      {"leader", group.leader.value},
                      {"leaderless_ms", to_ms(group.leaderless)},
                      {"lag_p99_ms", to_ms(group.lag_p99)}});
  }
  const json all{{"node", o.node.value},
                 {"scores", std::move(scores)},
                 {"out", std::move(out)},
                 {"nodes", std::move(nodes)},
                 {"components", o.components},
                 {"silent_ms", std::move(silent)},
                 {"groups", std::move(groups)},
                 {"load",
                  {{"in_flight", o.load.in_flight},
                   {"rate", o.load.rate},
                   {"errors", o.load.errors},
                   {"p99_ms", to_ms(o.load.p99)},
                   {"busy", o.load.busy},
                   {"cores", o.load.cores},
                   {"edge_busy", o.load.edge_busy},
                   {"edge_cores", o.load.edge_cores},
                   {"edges", o.load.edges},
                   {"edges_answering", o.load.edges_answering},
                   {"signs", o.load.signs},
                   {"most_signs", o.load.most_signs}}},
                 {"extra_workers", o.extra},
                 {"spare_workers", o.spare},
                 {"wanted_workers", o.wanted},
                 {"wanted_token", o.wanted_token},
                 {"queued", o.queued},
                 {"queue_in_order", o.queue_in_order}};
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Observation> parse_observation(std::string_view text) {
  if (text.size() > kLargestObservation) return fail(Code::kInvalid, "an observation is too long");
  const json in = json::parse(text, nullptr, false);
  Fields fields(in, "an observation");
  Observation o;
  o.node = NodeId{static_cast<std::uint64_t>(fields.whole("node", 0, 1, kMostNode))};
  if (o.node.value == 0) fields.wrong("node", "is missing");
  const auto score = [&](const json& value, const char* of) {
    const double points = value.is_number() ? value.get<double>() : -1;
    if (!(points >= 0 && points <= 100)) fields.wrong(of, "has a score that is not between 0 and 100");
    return points;
  };
  const auto id = [&](const std::string& key, std::uint64_t most, const char* of) {
    const std::uint64_t number = number_of(key, most);
    if (number == 0) fields.wrong(of, "names what cannot be");
    return number;
  };
  for (const auto& [key, value] : fields.many("scores", false, kMostParts).items())
    o.scores[RegionId{static_cast<std::uint8_t>(id(key, kMostRegion, "scores"))}] = score(value, "scores");
  for (const auto& [key, why] : fields.many("out", false, kMostParts).items()) {
    if (!why.is_string() || why.get_ref<const std::string&>().size() > kLongestText)
      fields.wrong("out", "has a reason that is none");
    else o.out[RegionId{static_cast<std::uint8_t>(id(key, kMostRegion, "out"))}] = why.get<std::string>();
  }
  for (const auto& [key, value] : fields.many("nodes", false, kMostParts).items())
    o.nodes[NodeId{id(key, kMostNode, "nodes")}] = score(value, "nodes");
  for (const auto& [name, value] : fields.many("components", false, kMostParts).items()) {
    if (name.empty() || name.size() > kLongestName) fields.wrong("components", "has a strange name");
    o.components[name] = score(value, "components");
  }
  const auto& silent = fields.many("silent_ms", false, kMostParts);
  Fields ages(silent, "an observation's 'silent_ms'");
  for (const auto& [key, value] : silent.items())
    o.silent[NodeId{id(key, kMostNode, "silent_ms")}] = ages.milliseconds(key.c_str());
  EC_TRY(ages.status());
  for (const auto& entry : fields.many("groups", true, kMostParts)) {
    Fields group(entry, "an observation's group");
    o.groups.push_back({GroupId{static_cast<std::uint32_t>(group.whole("group", 0, 0, kMostRegion))},
                        NodeId{static_cast<std::uint64_t>(group.whole("leader", 0, 0, kMostNode))},
                        group.milliseconds("leaderless_ms"), group.milliseconds("lag_p99_ms")});
    EC_TRY(group.status());
  }
  const auto& load_in = fields.many("load", false, kMostParts);
  Fields load(load_in, "an observation's load");
  o.load.in_flight = load.count("in_flight");
  o.load.rate = load.number("rate", 0, 0, kMostRate);
  o.load.errors = load.number("errors", 0, 0, 1);
  o.load.p99 = load.milliseconds("p99_ms");
  o.load.busy = load.number("busy", 0, 0, kMostRate);
  o.load.cores = load.number("cores", 0, 0, kMostRate);
  o.load.edge_busy = load.number("edge_busy", 0, 0, kMostRate);
  o.load.edge_cores = load.number("edge_cores", 0, 0, kMostRate);
  o.load.edges = static_cast<int>(load.whole("edges", 0, 0, kMostEdges));
  o.load.edges_answering = static_cast<int>(load.whole("edges_answering", 0, 0, kMostEdges));
  o.load.signs = load.number("signs", 0, 0, kMostRate);
  o.load.most_signs = load.number("most_signs", 0, 0, kMostRate);
  EC_TRY(load.status());
  o.extra = static_cast<int>(fields.whole("extra_workers", 0, 0, 10'000));
  o.spare = static_cast<int>(fields.whole("spare_workers", 0, 0, 10'000));
  o.wanted = static_cast<int>(fields.whole("wanted_workers", 0, 0, 10'000));
  o.wanted_token = fields.whole("wanted_token", 0, 0, INT64_MAX);
  o.queued = fields.count("queued");
  o.queue_in_order = fields.flag("queue_in_order", true);
  EC_TRY(fields.status());
  return o;
}

}  // namespace evercert::recovery
