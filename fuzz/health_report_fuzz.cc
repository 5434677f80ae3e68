// SPDX-License-Identifier: Apache-2.0
// What another node says of its health: a report within bounds, or an error; and it is written as it was read.
#include "base/check.h"
#include "fuzz/input.h"
#include "health/board.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  const auto report = health::parse_report(fuzz::text(data, size));
  if (!report) return 0;
  for (const auto& [name, part] : report->components)
    EC_CHECK(part.points >= 0 && part.points <= 100, "a score is between 0 and 100");
  const auto again = health::parse_report(health::to_json(*report));
  EC_CHECK(again.has_value() && again->node == report->node && again->components.size() == report->components.size() &&
               again->regions.size() == report->regions.size(),
           "a report is read as it was written");
  // Whatever it says, and whoever says it, a single one takes no region out.
  health::BoardOptions options;
  options.self = node_id(RegionId{1}, 1);
  for (const std::uint8_t r : {1, 2, 3}) {
    options.regions[RegionId{r}] = "region";
    options.nodes[node_id(RegionId{r}, 1)] = RegionId{r};
  }
  health::Board board(options, Instant{0});
  // Nor do two take out what is not known here.
  for (const std::uint8_t r : {2, 3}) {
    for (int i = 0; i < 3; ++i) {
      auto said = *report;
      if (r == 3) said.node = node_id(RegionId{3}, 1);
      board.asked(node_id(RegionId{r}, 1), Instant{0});
      board.answered(node_id(RegionId{r}, 1), std::move(said), Instant{0});
    }
    for (const auto& change : board.review(Instant{0}))
      EC_CHECK(options.regions.contains(change.region) && (r == 3 || change.region == RegionId{2}),
               "one observer alone takes out nobody but itself, with our own word for it");
  }
  return 0;
}
