// SPDX-License-Identifier: Apache-2.0
// What nodes, persons and earlier controllers say to a failover controller, and it to name servers: within bounds, or
// an error; and it is written as it was read. Whatever one node says, alone it takes out no region.
#include "base/check.h"
#include "fuzz/input.h"
#include "recovery/failover/detection.h"
#include "recovery/failover/observation.h"
#include "recovery/failover/policy.h"
#include "recovery/failover/record.h"
#include "traffic/shares/agreement.h"

namespace {

using namespace evercert;
using namespace evercert::recovery;

void alone(const Observation& said) {
  Cluster cluster;
  Picture picture;
  const Instant now{1'000'000};
  for (const std::uint8_t r : {1, 2, 3}) {
    cluster.regions[RegionId{r}] = "region";
    cluster.nodes[node_id(RegionId{r}, 1)] = RegionId{r};
  }
  // Another node than was asked is none that is listened to; see node/failover_office.cc.
  if (!cluster.nodes.contains(said.node)) return;
  picture.seen[said.node] = {said, now};
  picture.members_at = now;
  const Policy policy;
  for (const Finding& finding : detect(Sight(cluster, picture, policy, now)))
    EC_CHECK(finding.kind != Kind::kRegion && finding.kind != Kind::kZone, "one node alone takes nobody out");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::text(data, size);
  const Times times{Instant{1'000'000'000'000}, WallTime{std::int64_t{1} << 50}};
  if (const auto read = parse_observation(text)) {
    const auto again = parse_observation(to_json(*read));
    EC_CHECK(again.has_value() && to_json(*again) == to_json(*read), "an observation is read as it was written");
    alone(*read);
  }
  if (const auto read = parse_policy(text)) {
    const auto again = parse_policy(to_json(*read));
    EC_CHECK(again.has_value() && again->stages.back() == 100, "a policy is read as it was written");
  }
  if (const auto read = parse_state(text, times)) {
    const auto again = parse_state(to_json(*read, times, {}), times);
    EC_CHECK(again.has_value() && again->incidents.size() == read->incidents.size(),
             "a state is read as it was written");
  }
  if (const auto read = parse_order(text)) EC_CHECK(parse_order(to_json(*read)).has_value(), "so is an order");
  if (const auto read = parse_entry(text)) {
    const auto again = parse_entry(to_json(*read));
    EC_CHECK(again.has_value() && again->hash == read->hash, "so is an entry of the log");
  }
  if (const auto read = parse_anchor(text)) {
    const auto again = parse_anchor(to_json(*read));
    EC_CHECK(again.has_value() && to_json(*again) == to_json(*read), "so is the anchor of the log");
  }
  if (const auto read = traffic::parse_shares(text)) {
    const auto again = traffic::parse_shares(traffic::to_json(*read));
    EC_CHECK(again.has_value() && again->percent == read->percent && again->nodes == read->nodes, "so are shares");
    traffic::SharesAgreement agreement(3);
    EC_CHECK(!agreement.said(0, text), "one region moves no traffic");
  }
  return 0;
}
