// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/incident_times.h"

#include <gtest/gtest.h>

#include "recovery/failover/record.h"

namespace evercert::recovery {
namespace {

Instant second(double s) { return Instant{static_cast<std::int64_t>(s * 1e6)}; }

Incident incident_at(std::uint64_t id) {
  Incident incident;
  incident.id = id;
  incident.subject = "eu-central-1";
  incident.region = RegionId{3};
  incident.began = second(100);
  incident.opened = incident.changed = second(102.5);
  return incident;
}

TEST(IncidentTimes, AreCountedFromTheBeginningByTheEvidence) {
  Incident incident = incident_at(1);
  EXPECT_EQ(times_of(incident).detected, 2500ms);
  EXPECT_FALSE(times_of(incident).relieved);
  EXPECT_FALSE(times_of(incident).over);
  incident.relieved = second(104);
  incident.phase = Phase::kClosed;
  incident.changed = second(160);
  EXPECT_EQ(times_of(incident).relieved, 4s);
  EXPECT_EQ(times_of(incident).over, 60s);
  incident.ordered_by = "operator";
  EXPECT_FALSE(times_of(incident).detected) << "nobody has detected what was ordered";
  EXPECT_FALSE(times_of(Incident{}).detected) << "an earlier version did not write down when it began";
}

TEST(IncidentTimes, EachIsCountedOnceAndNotAgainByTheNextController) {
  TimesTaken taken;
  std::vector<Incident> all{incident_at(1)};
  taken.look(all);
  EXPECT_EQ(taken.sum(TimesTaken::Part::kDetection).count, 0u) << "an earlier controller has counted it";
  all.push_back(incident_at(2));
  taken.look(all);
  taken.look(all);
  EXPECT_EQ(taken.sum(TimesTaken::Part::kDetection).count, 1u);
  EXPECT_EQ(taken.sum(TimesTaken::Part::kDetection).took, 2500ms);
  for (Incident& incident : all) {
    incident.relieved = second(103);
    incident.phase = Phase::kClosed;
    incident.changed = second(110);
  }
  taken.look(all);
  EXPECT_EQ(taken.sum(TimesTaken::Part::kRelief).count, 2u);
  EXPECT_EQ(taken.sum(TimesTaken::Part::kRecovery).took, 20s);
  taken.begin();
  all.push_back(all.back());
  all.back().id = 3;  // of the time between
  taken.look(all);
  EXPECT_EQ(taken.sum(TimesTaken::Part::kRecovery).count, 2u);
}

TEST(IncidentTimes, AreWrittenDownAndReadByTheNextController) {
  State state;
  state.incidents.push_back(incident_at(1));
  state.incidents.front().relieved = second(104);
  const Times times{second(200), WallTime{1'000'000'000}};
  const auto read = parse_state(to_json(state, times, Cluster{}), times);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->incidents.at(0).began, second(100));
  EXPECT_EQ(read->incidents.at(0).relieved, second(104));
  EXPECT_NE(to_json(state, times, Cluster{}).find(R"("detected_after_ms":2500)"), std::string::npos);
}

}  // namespace
}  // namespace evercert::recovery
