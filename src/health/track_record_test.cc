// SPDX-License-Identifier: Apache-2.0
#include "health/track_record.h"

#include <gtest/gtest.h>

#include "health/foresight.h"

namespace evercert::health {
namespace {

// Free space goes down to the limit and stays there, once.
void run_full(Foresight& seen, Instant& now) {
  double free = 0.5;
  for (int minute = 0; minute < 400; ++minute) {
    now = now + 60s;
    free = std::max(0.0, free - 0.0025);
    seen.measured("disk", "share free", {0.03, true}, free, now);
  }
}

TEST(TrackRecord, HowOftenForecastsCameTrueIsCountedOnAfterARestart) {
  Foresight first({});
  Instant now{1'000'000};
  run_full(first, now);
  const auto before = first.track_record().at("disk");
  ASSERT_GT(before.warned_and_came, 0u);

  const auto kept = parse_track_record(to_json(first.track_record()));
  ASSERT_TRUE(kept) << kept.error().message;
  Foresight second({});
  second.resume(*kept);
  EXPECT_EQ(second.track_record().at("disk").warned_and_came, before.warned_and_came)
      << "also of what has not been measured yet: it is not lost when the node ends again soon";
  second.measured("disk", "share free", {0.03, true}, 0.5, now);
  EXPECT_EQ(second.forecasts(now).at(0).count.warned_and_came, before.warned_and_came);
  EXPECT_EQ(second.forecasts(now).at(0).count.rightly_quiet, before.rightly_quiet);
  Instant later = now + 60s;
  run_full(second, later);
  EXPECT_GT(second.track_record().at("disk").warned_and_came, before.warned_and_came) << "it counts on";
}

TEST(TrackRecord, WhatIsNoneIsRefusedWithWhatIsWrong) {
  for (const char* bad :
       {"", "[]", "{}", R"({"forecasts":5})", R"({"forecasts":{"disk":5}})",
        R"({"forecasts":{"disk":{"warned_and_came":1}}})",
        R"({"forecasts":{"disk":{"warned_and_came":-1,"warned_in_vain":0,"came_unwarned":0,"rightly_quiet":0}}})",
        R"({"forecasts":{"disk":{"warned_and_came":1e30,"warned_in_vain":0,"came_unwarned":0,"rightly_quiet":0}}})"})
    EXPECT_FALSE(parse_track_record(bad)) << bad;
  EXPECT_TRUE(parse_track_record(R"({"forecasts":{}})")) << "nothing has been judged yet";
}

}  // namespace
}  // namespace evercert::health
