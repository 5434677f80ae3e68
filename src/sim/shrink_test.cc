// SPDX-License-Identifier: Apache-2.0
#include "sim/shrink.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace evercert::sim {
namespace {

RunReport first_failure(const Scenario& scenario) {
  for (std::uint64_t seed = 1; seed < 200; ++seed) {
    RunReport report = run_seed(seed, scenario);
    if (report.violation) return report;
  }
  return {};
}

TEST(Shrink, AFailingRunBecomesSmallerFailsInTheSameWayAndReplaysFromItsFile) {
  set_log_level(LogLevel::kOff);
  Scenario scenario;
  scenario.bug = store::Bug::kIgnorePromises;
  const RunReport failure = first_failure(scenario);
  ASSERT_TRUE(failure.violation.has_value());
  const RunOptions whole = draw(scenario, failure.seed);
  const Shrunk small = shrink(whole, 60);
  ASSERT_TRUE(small.report.violation.has_value());
  EXPECT_EQ(kind_of_violation(*small.report.violation), kind_of_violation(*failure.violation));
  EXPECT_LT(small.run.faults.size(), std::max<std::size_t>(whole.faults.size(), 1));
  EXPECT_LE(small.run.duration, whole.duration);

  const auto file = load_scenario("small.yaml", to_yaml(scenario, small.run));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  Scenario again = *file;
  again.bug = scenario.bug;
  EXPECT_EQ(run_seed(failure.seed, again).violation, small.report.violation);
}

TEST(Shrink, AWholeRunWrittenDownIsTheSameRun) {
  set_log_level(LogLevel::kOff);
  const RunOptions whole = draw({}, 5);
  const auto file = load_scenario("whole.yaml", to_yaml({}, whole));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const RunReport a = run(whole);
  const RunReport b = run_seed(5, *file);
  EXPECT_EQ(a.events, b.events);
  EXPECT_EQ(a.issued, b.issued);
  EXPECT_EQ(a.faults, b.faults);
}

TEST(Shrink, TheTimelineNamesFaultsLeadersAndTheRecordOfTheViolation) {
  std::vector<TimelineEntry> timeline{{Instant{1'500'000}, "", "FAULT kill 1.1 for 1.000 s"},
                                      {Instant{1'600'000}, "2-7", "through 1.1: issue"},
                                      {Instant{1'700'000}, "2-71", "through 1.1: issue"}};
  const std::string text = to_text(timeline, "t=1ms fresh read: node 1.1 does not know 2-7, whose issuance");
  EXPECT_EQ(text, "     1.500 s  FAULT kill 1.1 for 1.000 s\n     1.600 s    2-7: through 1.1: issue\n");
}

}  // namespace
}  // namespace evercert::sim
