// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/canary.h"

#include <algorithm>
#include <cmath>

#include "traffic/policy/subset.h"

namespace evercert::traffic {
namespace {

constexpr std::uint32_t kWhole = 10'000;

std::string percent(double share) {
  // Two digits after the point.
  const auto hundredths = static_cast<std::int64_t>(std::llround(share * kWhole));
  const std::string rest = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + (rest.size() < 2 ? "0" : "") + rest + " %";
}

}  // namespace

CanaryWish parse_canary_wish(std::string_view header) {
  if (header == "always") return CanaryWish::kCanary;
  if (header == "never") return CanaryWish::kStable;
  return CanaryWish::kNone;
}

Canary::Canary(CanaryOptions options) : options_(options), sides_{Side(options.window), Side(options.window)} {}

void Canary::begin(std::uint32_t per_ten_thousand) {
  if (rolled_back_) {
    rolled_back_ = false;
    why_.clear();
    for (Side& side : sides_) side = Side(options_.window);
    slower_in_a_row_ = 0;
  }
  share_ = std::min(per_ten_thousand, kWhole);
}

Release Canary::choose(std::uint64_t client, CanaryWish wish) const {
  if (rolled_back_ || share_ == 0 || wish == CanaryWish::kStable) return Release::kStable;
  if (wish == CanaryWish::kCanary) return Release::kCanary;
  return mix(client ^ 0x63616e617279) % kWhole < share_ ? Release::kCanary : Release::kStable;
}

Canary::Counts Canary::recent(Side& side, Instant now) const {
  const std::int64_t slice = std::max<std::int64_t>(options_.window.count() / static_cast<std::int64_t>(kSlices), 1);
  const std::int64_t current = now.us / slice;
  if (current - side.at >= static_cast<std::int64_t>(kSlices)) {
    side.slices.fill({});
    side.at = current;
  }
  while (side.at < current) side.slices[static_cast<std::size_t>(++side.at) % kSlices] = {};
  Counts sum;
  for (const Counts& counts : side.slices) {
    sum.calls += counts.calls;
    sum.failed += counts.failed;
  }
  return sum;
}

bool Canary::finished(Release release, bool failed, Duration took, Instant now) {
  Side& side = sides_[static_cast<std::size_t>(release)];
  recent(side, now);
  Counts& counts = side.slices[static_cast<std::size_t>(side.at) % kSlices];
  ++counts.calls;
  // A failure says nothing about how long an answer takes: many fail at once.
  if (failed) {
    ++counts.failed;
  } else {
    side.latencies.record(took, now);
  }
  if (rolled_back_ || share_ == 0 || now - compared_ < options_.compare_every) return false;
  compared_ = now;
  return compare(now);
}

bool Canary::compare(Instant now) {
  Side &stable = sides_[0], &canary = sides_[1];
  const Counts s = recent(stable, now), c = recent(canary, now);
  if (s.calls < options_.least_calls || c.calls < options_.least_calls) return false;
  const double of_s = static_cast<double>(s.failed) / static_cast<double>(s.calls);
  const double of_c = static_cast<double>(c.failed) / static_cast<double>(c.calls);
  const double both = static_cast<double>(s.failed + c.failed) / static_cast<double>(s.calls + c.calls);
  const double error =
      std::sqrt(both * (1 - both) * (1 / static_cast<double>(s.calls) + 1 / static_cast<double>(c.calls)));
  if (of_c - of_s >= options_.errors_margin && of_c - of_s > options_.errors_sigma * error)
    return roll_back("errors: " + percent(of_c) + " of the canary's calls, " + percent(of_s) + " of the stable ones'");
  const auto slow_s = stable.latencies.quantile(options_.latency_quantile, now, options_.least_calls);
  const auto slow_c = canary.latencies.quantile(options_.latency_quantile, now, options_.least_calls);
  const bool slower =
      slow_s && slow_c && *slow_c - *slow_s >= options_.latency_margin &&
      static_cast<double>(slow_c->count()) >= options_.latency_factor * static_cast<double>(slow_s->count());
  slower_in_a_row_ = slower ? slower_in_a_row_ + 1 : 0;
  if (slower_in_a_row_ < options_.comparisons_in_a_row) return false;
  return roll_back("latency: p" + std::to_string(std::lround(options_.latency_quantile * 100)) + " " +
                   std::to_string(slow_c->count() / 1000) + " ms with the canary, " +
                   std::to_string(slow_s->count() / 1000) + " ms with the stable one");
}

bool Canary::roll_back(std::string why) {
  rolled_back_ = true;
  why_ = std::move(why);
  share_ = 0;
  return true;
}

}  // namespace evercert::traffic
