// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/counters.h"

#include <algorithm>
#include <cstdio>

namespace evercert::traffic {
namespace {

std::string seconds(double us) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", us / 1e6);
  return text;
}

}  // namespace

void LatencyHistogram::record(Duration took) {
  const auto edge = std::lower_bound(kLatencyEdges.begin(), kLatencyEdges.end(), took);
  buckets_[static_cast<std::size_t>(edge - kLatencyEdges.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_us_.fetch_add(static_cast<std::uint64_t>(std::max<Duration>(took, 0us).count()), std::memory_order_relaxed);
}

std::uint64_t LatencyHistogram::count() const {
  std::uint64_t sum = 0;
  for (const auto& bucket : buckets_) sum += bucket.load(std::memory_order_relaxed);
  return sum;
}

void LatencyHistogram::print(std::string& out, std::string_view name, std::string_view labels) const {
  std::uint64_t below = 0;
  const auto line = [&](std::string_view suffix, std::string_view more, const std::string& value) {
    out.append(name).append(suffix).append("{").append(labels).append(more).append("} ").append(value).append("\n");
  };
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    below += buckets_[i].load(std::memory_order_relaxed);
    const std::string edge =
        i < kLatencyEdges.size() ? seconds(static_cast<double>(kLatencyEdges[i].count())) : std::string("+Inf");
    line("_bucket", ",le=\"" + edge + "\"", std::to_string(below));
  }
  line("_sum", "", seconds(static_cast<double>(sum_us_.load(std::memory_order_relaxed))));
  line("_count", "", std::to_string(below));
}

std::string EdgeCounters::metrics() const {
  std::string out;
  const auto type = [&](const char* name, const char* kind) {
    out.append("# TYPE evercert_edge_").append(name).append(" ").append(kind).append("\n");
  };
  const auto value = [&](const char* name, const std::string& labels, const std::string& number) {
    out.append("evercert_edge_").append(name).append(labels).append(" ").append(number).append("\n");
  };
  const auto by_class = [&](const char* name, auto pick) {
    type(name, "counter");
    for (std::size_t i = 0; i < kCriticalities; ++i) {
      value(name, "{class=\"" + std::string(to_string(static_cast<Criticality>(i))) + "\"}", pick(classes[i]));
    }
  };
  by_class("requests_total", [](const OfClass& c) { return std::to_string(c.passed_on); });
  by_class("failed_total", [](const OfClass& c) { return std::to_string(c.failed); });
  by_class("waited_total", [](const OfClass& c) { return std::to_string(c.waited); });
  by_class("waited_seconds_total", [](const OfClass& c) { return seconds(static_cast<double>(c.waited_us)); });
  by_class("hedges_total", [](const OfClass& c) { return std::to_string(c.hedges); });
  by_class("hedges_won_total", [](const OfClass& c) { return std::to_string(c.hedges_won); });
  type("turned_away_total", "counter");
  for (std::size_t i = 0; i < kCriticalities; ++i) {
    const std::string of = "{class=\"" + std::string(to_string(static_cast<Criticality>(i))) + "\",reason=\"";
    value("turned_away_total", of + "overload\"}", std::to_string(classes[i].overload));
    value("turned_away_total", of + "rate\"}", std::to_string(classes[i].rate));
  }
  for (const auto& [name, count] : {std::pair{"retries_total", &retries},
                                    {"retries_denied_total", &retries_denied},
                                    {"coalesced_total", &coalesced},
                                    {"broken_off_total", &broken_off},
                                    {"late_total", &late}}) {
    type(name, "counter");
    value(name, "", std::to_string(*count));
  }
  type("request_seconds", "histogram");
  for (std::size_t i = 0; i < kCriticalities; ++i) {
    const auto label = "class=\"" + std::string(to_string(static_cast<Criticality>(i))) + "\"";
    classes[i].took.print(out, "evercert_edge_request_seconds", label);
  }
  return out;
}

}  // namespace evercert::traffic
