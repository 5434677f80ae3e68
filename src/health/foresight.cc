// SPDX-License-Identifier: Apache-2.0
#include "health/foresight.h"

#include <algorithm>

namespace evercert::health {

std::string in_words(std::int64_t seconds) {
  constexpr std::int64_t kMinute = 60, kHour = 3600, kDay = 86'400;
  if (seconds < kMinute) return std::to_string(seconds) + " s";
  if (seconds < kHour) return std::to_string(seconds / kMinute) + " min";
  if (seconds >= 2 * kDay) return std::to_string(seconds / kDay) + " d";
  return std::to_string(seconds / kHour) + " h " + std::to_string(seconds % kHour / kMinute) + " min";
}

void Foresight::measured(const std::string& what, const std::string& unit, Limit limit, double value, Instant now) {
  auto of = std::ranges::find(values_, what, &Value::what);
  if (of == values_.end()) {
    of = values_.insert(of, {what, unit, limit, Series(options_.step), BackTest(options_.horizon)});
    if (const auto earlier = earlier_.extract(what); !earlier.empty()) of->test.resume(earlier.mapped());
  }
  of->series.measured(value, now);
  const bool passed = of->limit.below ? value < of->limit.value : value > of->limit.value;
  of->test.observed(passed, now);
  if (passed) return;
  const auto trend = of->series.trend(now);
  if (!trend) return;
  const auto left = time_to(*trend, of->limit.value, of->limit.below);
  of->test.forecast(left && *left <= options_.horizon, now);
}

void Foresight::ends(const std::string& what, std::int64_t begin, std::int64_t end) { lives_[what] = {begin, end}; }

std::vector<Foresight::Forecast> Foresight::forecasts(Instant now) const {
  std::vector<Forecast> all;
  for (const Value& value : values_) {
    Forecast one{value.what, value.unit, value.limit, value.series.trend(now), {}, value.test.count()};
    if (one.trend) one.left = time_to(*one.trend, value.limit.value, value.limit.below);
    all.push_back(std::move(one));
  }
  return all;
}

TrackRecord Foresight::track_record() const {
  TrackRecord record = earlier_;
  for (const Value& value : values_) record[value.what] = value.test.count();
  return record;
}

double Foresight::late_seconds(const Life& life) const {
  return options_.late * static_cast<double>(std::max<std::int64_t>(1, life.end - life.begin));
}

std::vector<Foresight::End> Foresight::endings(std::int64_t now_seconds) const {
  std::vector<End> all;
  for (const auto& [what, life] : lives_) {
    const std::int64_t left = life.end - now_seconds;
    all.push_back({what, left, static_cast<double>(left) < late_seconds(life)});
  }
  std::ranges::stable_sort(all, {}, &End::left_seconds);
  return all;
}

Score Foresight::endings_score(std::int64_t now_seconds) const {
  std::vector<Score> parts;
  for (const auto& [what, life] : lives_) {
    const std::int64_t left = life.end - now_seconds;
    const std::string text =
        left <= 0 ? what + " is over" : what + " ends in " + in_words(left) + " and is not renewed";
    // 0 at its end, 100 while it is not late.
    parts.push_back(health::measured(-static_cast<double>(left), -late_seconds(life), 0, text));
  }
  return parts.empty() ? Score{} : all_of(parts);
}

}  // namespace evercert::health
