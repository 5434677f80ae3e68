// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/status.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/os/processors.h"

namespace evercert::traffic {
namespace {

std::string_view to_string(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed: return "closed";
    case BreakerState::kOpen: return "open";
    case BreakerState::kHalfOpen: return "half-open";
  }
  return "unknown";
}

std::string_view to_string(Standing standing) {
  switch (standing) {
    case Standing::kGood: return "good";
    case Standing::kProbe: return "probe";
    case Standing::kPoor: return "poor";
    case Standing::kLastResort: return "last-resort";
  }
  return "unknown";
}

// One endpoint at one moment.
struct Seen {
  bool healthy, in_rotation, draining;
  BreakerState breaker;
  Standing standing;
  int in_flight;
  double limit;
  std::uint64_t opened, changes;
};

std::vector<Seen> look(const Backends& backends) {
  std::vector<Seen> out;
  out.reserve(backends.size());
  backends.with([&](const Upstream& upstream, Instant now) {
    for (std::size_t at = 0; at < backends.size(); ++at) {
      out.push_back({upstream.healthy(at), upstream.in_rotation(at), upstream.draining(at), upstream.breaker(at, now),
                     upstream.standing(at, now), upstream.in_flight(at),
                     upstream.limit(backends[at].remote ? Distance::kRemote : Distance::kRegion),
                     upstream.breaker_opened(at), upstream.rotation_changes(at)});
    }
  });
  return out;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

std::string backend_metrics(const Backends& backends, const Entrance& entrance) {
  const auto seen = look(backends);
  std::string out;
  const auto family = [&](const char* name, const char* kind, auto value) {
    out.append("# TYPE evercert_edge_backend_").append(name).append(" ").append(kind).append("\n");
    for (std::size_t at = 0; at < seen.size(); ++at) {
      out.append("evercert_edge_backend_").append(name).append("{backend=\"").append(backends[at].name);
      out.append("\",kind=\"").append(backends[at].remote ? "edge" : "node").append("\"} ");
      out.append(value(seen[at], at)).append("\n");
    }
  };
  const auto flag = [](bool is) { return std::string(is ? "1" : "0"); };
  family("healthy", "gauge", [&](const Seen& s, std::size_t) { return flag(s.healthy); });
  family("in_rotation", "gauge", [&](const Seen& s, std::size_t) { return flag(s.in_rotation); });
  family("draining", "gauge", [&](const Seen& s, std::size_t) { return flag(s.draining); });
  // 0 closed, 1 open, 2 half-open.
  family("breaker_state", "gauge",
         [&](const Seen& s, std::size_t) { return std::to_string(static_cast<int>(s.breaker)); });
  family("in_flight", "gauge", [&](const Seen& s, std::size_t) { return std::to_string(s.in_flight); });
  family("limit", "gauge", [&](const Seen& s, std::size_t) { return number(s.limit); });
  family("requests_total", "counter",
         [&](const Seen&, std::size_t at) { return std::to_string(backends.requests(at)); });
  family("failures_total", "counter",
         [&](const Seen&, std::size_t at) { return std::to_string(backends.failures(at)); });
  family("breaker_opened_total", "counter", [&](const Seen& s, std::size_t) { return std::to_string(s.opened); });
  family("rotation_changes_total", "counter", [&](const Seen& s, std::size_t) { return std::to_string(s.changes); });
  const auto [utilisation, pressure] = backends.with([](const Upstream& upstream, Instant now) {
    return std::pair{upstream.utilisation(now), upstream.pressure()};
  });
  out += "# TYPE evercert_edge_utilisation gauge\nevercert_edge_utilisation " + number(utilisation) +
         "\n# TYPE evercert_edge_pressure gauge\nevercert_edge_pressure " + number(pressure) +
         "\n# TYPE evercert_edge_waiting gauge\n";
  for (std::size_t i = 0; i < kCriticalities; ++i) {
    const auto of = static_cast<Criticality>(i);
    out += "evercert_edge_waiting{class=\"" + std::string(to_string(of)) + "\"} " +
           std::to_string(entrance.waiting(of)) + "\n";
  }
  return out;
}

std::string status_page(const Backends& backends, const Entrance& entrance, const EdgeCounters& counters,
                        const Guests& guests, const Releases& releases, const OwnCertificate* certificate) {
  using nlohmann::json;
  const auto seen = look(backends);
  json page{{"endpoints", json::array()}, {"classes", json::object()}};
  for (std::size_t at = 0; at < seen.size(); ++at) {
    const Seen& s = seen[at];
    page["endpoints"].push_back({{"name", backends[at].name},
                                 {"kind", backends[at].remote ? "edge" : "node"},
                                 {"canary", backends[at].endpoint.canary},
                                 {"standing", to_string(s.standing)},
                                 {"healthy", s.healthy},
                                 {"in_rotation", s.in_rotation},
                                 {"draining", s.draining},
                                 {"drained_by_operator", backends.drained(at, Backends::Drained::kByOperator)},
                                 {"breaker", to_string(s.breaker)},
                                 {"in_flight", s.in_flight},
                                 {"limit", s.limit},
                                 {"requests", backends.requests(at)},
                                 {"failures", backends.failures(at)}});
  }
  for (std::size_t i = 0; i < kCriticalities; ++i) {
    const auto of = static_cast<Criticality>(i);
    const auto& counts = counters.of(of);
    page["classes"][std::string(to_string(of))] = {
        {"passed_on", counts.passed_on.load()},   {"waiting", entrance.waiting(of)},
        {"waited", counts.waited.load()},         {"turned_away_overload", counts.overload.load()},
        {"turned_away_rate", counts.rate.load()}, {"failed", counts.failed.load()},
        {"hedges", counts.hedges.load()}};
  }
  backends.with([&](const Upstream& upstream, Instant now) {
    page["utilisation"] = upstream.utilisation(now);
    page["pressure"] = upstream.pressure();
    page["in_rotation"] = upstream.in_rotation();
  });
  // For the report of capacity: in all, since the start.
  page["processors"] = {{"seconds", static_cast<double>(os::processor_time().count()) / 1e6},
                        {"cores", os::processors()}};
  page["rate_share"] = guests.share();
  if (const auto canary = releases.state(); canary.any) {
    page["canary"] = {{"percent", canary.percent},
                      {"rolled_back", canary.rolled_back},
                      {"why", canary.why},
                      {"compared", {{"new", canary.of_new}, {"old", canary.of_old}}}};
  }
  if (certificate != nullptr) page["certificate"] = certificate->status();
  return page.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace evercert::traffic
