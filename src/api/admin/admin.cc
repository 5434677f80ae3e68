// SPDX-License-Identifier: Apache-2.0
#include "api/admin/admin.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <shared_mutex>

#include "base/encoding.h"
#include "base/rfc3339.h"
#include "store/membership.h"

namespace evercert::api {

using nlohmann::json;

namespace {

json describe(const degraded::ModeView& mode) {
  return {{"name", degraded::to_string(mode.mode)}, {"since", rfc3339(mode.since.ms)}, {"why", mode.why}};
}

json describe(const degraded::Desk::Summary& summary) {
  json kinds = json::object();
  for (const auto& [kind, count] : summary.queue.by_kind) kinds[std::string(degraded::to_string(kind))] = count;
  return {{"waiting", summary.queue.waiting},
          {"bytes", summary.queue.bytes},
          {"kinds", std::move(kinds)},
          {"oldest", summary.queue.oldest_ms == 0 ? json() : json(rfc3339(summary.queue.oldest_ms))},
          {"out_of_order", summary.out_of_order.empty() ? json() : json(summary.out_of_order)}};
}

std::string reason_of(const store::v1::RegionMember& member) {
  return member.reason().empty() ? "" : ": " + member.reason();
}

}  // namespace

struct Admin::Metrics {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter().Name("evercert_requests_total").Help("Answered HTTP requests").Register(registry);
  prometheus::Family<prometheus::Histogram>& latency =
      prometheus::BuildHistogram().Name("evercert_request_seconds").Help("Time to answer").Register(registry);
  prometheus::Family<prometheus::Gauge>& group =
      prometheus::BuildGauge().Name("evercert_group").Help("State of the Raft groups on this node").Register(registry);
  prometheus::Gauge& certificates = prometheus::BuildGauge()
                                        .Name("evercert_certificates")
                                        .Help("Certificates in the state")
                                        .Register(registry)
                                        .Add({});
  prometheus::Gauge& clock = prometheus::BuildGauge()
                                 .Name("evercert_clock_trusted")
                                 .Help("1: the wall clock is near its peers'")
                                 .Register(registry)
                                 .Add({});

  prometheus::Gauge& epoch = prometheus::BuildGauge()
                                 .Name("evercert_epoch")
                                 .Help("Epoch of the membership, as this node knows it")
                                 .Register(registry)
                                 .Add({});
  prometheus::Gauge& may_sign = prometheus::BuildGauge()
                                    .Name("evercert_may_sign")
                                    .Help("1: this region's issuing key may be used now (0: fenced, or alone)")
                                    .Register(registry)
                                    .Add({});

  prometheus::Family<prometheus::Gauge>& mode =
      prometheus::BuildGauge().Name("evercert_mode").Help("1: the mode that this node works in").Register(registry);
  prometheus::Family<prometheus::Gauge>& queued = prometheus::BuildGauge()
                                                      .Name("evercert_queued")
                                                      .Help("Operations that wait for a majority on this node")
                                                      .Register(registry);
  prometheus::Gauge& queue_bytes = prometheus::BuildGauge()
                                       .Name("evercert_queued_bytes")
                                       .Help("Size of what waits for a majority on this node")
                                       .Register(registry)
                                       .Add({});
  prometheus::Gauge& queue_oldest = prometheus::BuildGauge()
                                        .Name("evercert_queued_oldest_seconds")
                                        .Help("How long the oldest has waited")
                                        .Register(registry)
                                        .Add({});
  prometheus::Gauge& queue_out_of_order = prometheus::BuildGauge()
                                              .Name("evercert_queue_out_of_order")
                                              .Help("1: the queue is damaged or its disk refused; see the log")
                                              .Register(registry)
                                              .Add({});

  struct Series {
    prometheus::Counter* requests;
    prometheus::Histogram* latency;
  };
  // Looked up by label once: the library's own look-up costs more than an answer from a cache.
  Series series_of(const std::string& route, int status) {
    {
      std::shared_lock lock(mutex);
      const auto known = by_route.find({route, status});
      if (known != by_route.end()) return known->second;
    }
    const Series made{
        &requests.Add({{"route", route}, {"status", std::to_string(status)}}),
        &latency.Add({{"route", route}}, prometheus::Histogram::BucketBoundaries{0.001, 0.005, 0.02, 0.05, 0.1, 0.15,
                                                                                 0.2, 0.3, 0.5, 1, 3, 10})};
    std::unique_lock lock(mutex);
    return by_route[{route, status}] = made;
  }
  std::shared_mutex mutex;
  std::map<std::pair<std::string, int>, Series> by_route;
};

Admin::Admin(AdminOptions options, store::Runtime& store, WallClock& wall)
    : options_(std::move(options)), store_(store), wall_(wall), metrics_(std::make_unique<Metrics>()) {}
Admin::~Admin() = default;

void Admin::mount(Router& router) {
  const auto now = [](net::HttpResponse response) -> Task<net::HttpResponse> { co_return response; };
  router.add("GET", "/healthz", [now](net::HttpRequest, auto) {
    net::HttpResponse alive;
    alive.headers.set("Content-Type", "text/plain");
    alive.body = "ok\n";
    return now(std::move(alive));
  });
  router.add("GET", "/readyz", [this, now](net::HttpRequest, auto) { return now(ready()); });
  router.add("GET", "/metrics", [this, now](net::HttpRequest, auto) { return now(metrics()); });
  router.add("GET", "/v1/status", [this, now](net::HttpRequest, auto) { return now(status()); });
  if (options_.witness) return;
  router.add("GET", "/crl/{file}",
             [this, now](net::HttpRequest request, auto parts) { return now(crl(request, parts[0])); });
  router.add("GET", "/ca/{file}", [this, now](net::HttpRequest, auto parts) { return now(ca_certificate(parts[0])); });
}

void Admin::count(const std::string& route, int status, double seconds) {
  const Metrics::Series series = metrics_->series_of(route, status);
  series.requests->Increment();
  series.latency->Observe(seconds);
  requests_.fetch_add(1, std::memory_order_relaxed);
  if (status >= 500 && status != 503) failed_.fetch_add(1, std::memory_order_relaxed);
  microseconds_.fetch_add(static_cast<std::uint64_t>(seconds * 1e6), std::memory_order_relaxed);
}

net::HttpResponse Admin::ready() const {
  std::string missing;
  if (store_.recovering()) missing = "the store is still taking over what its peers know";
  for (const auto& group : store_.group_status()) {
    if (group.leader == NodeId{0}) missing = "group " + std::to_string(group.group.value) + " has no leader";
  }
  const auto list = store_.crl(options_.region);
  if (!options_.witness && (!list || !*list)) missing = "this region's CRL is not published yet";
  if (!store_.clock_trusted()) missing = "the wall clock is far from its peers'";
  const auto membership = store_.membership();
  const auto own = store::member_of(membership->record, options_.region);
  if (own.state() == store::v1::JOINING) missing = "this region is joining, and has not caught up yet";
  if (options_.region.value > membership->regions)
    missing = "this region is none of the cluster's yet ('evercert ctl region add')";
  if (membership->regions > options_.region_names.size())
    missing = "the cluster has " + std::to_string(membership->regions) +
              " regions, and this node's cluster file names " + std::to_string(options_.region_names.size()) +
              ": give it the new file and start it again";
  if (store_.doubted()) missing = "a person holds this node's state for wrong (--doubt-state): rebuild it";
  if (own.state() == store::v1::DRAINING) missing = "drained by " + own.by() + reason_of(own);
  if (own.state() == store::v1::FENCED) missing = "fenced by " + own.by() + reason_of(own);
  if (own.state() == store::v1::REMOVED)
    missing = "this region was removed from the cluster by " + own.by() + reason_of(own) + ": stop its nodes and edges";
  net::HttpResponse response;
  if (!missing.empty()) return net::problem(503, "Service Unavailable", missing);
  response.headers.set("Content-Type", "text/plain");
  response.body = "ready\n";
  return response;
}

namespace {

std::vector<std::uint64_t> ids(const std::vector<NodeId>& nodes) {
  std::vector<std::uint64_t> all;
  for (const NodeId node : nodes) all.push_back(node.value);
  return all;
}

}  // namespace

net::HttpResponse Admin::status() const {
  json groups = json::array();
  for (const auto& g : store_.group_status()) {
    std::vector<std::string> promised;
    for (std::size_t r = 1; r <= options_.region_names.size(); ++r) {
      if (g.promised_regions >> r & 1) promised.push_back(options_.region_names[r - 1]);
    }
    json quorum_lost = g.quorum_lost_ms ? json(*g.quorum_lost_ms) : json();
    const std::size_t home = g.group.value;
    const std::string name = home == 0                              ? "global"
                             : home <= options_.region_names.size() ? options_.region_names[home - 1]
                                                                    : "region-" + std::to_string(home);
    groups.push_back({{"group", name},
                      {"term", g.term.value},
                      {"leader", g.leader.value},
                      {"leads_here", g.leads_here},
                      {"commit", g.commit.value},
                      {"applied", g.applied.value},
                      {"last", g.last.value},
                      {"leased", g.leased},
                      {"quorum_lost_ms", std::move(quorum_lost)},
                      {"promised", promised},
                      {"lag_p50_ms", g.lag_p50_ms},
                      {"lag_p99_ms", g.lag_p99_ms},
                      {"lag_counts", g.lag_counts},
                      {"differing", ids(g.differing)},
                      {"copied_from", g.copied_from.value}});
  }
  const auto membership = store_.membership();
  json states = json::object();
  for (std::size_t r = 1; r <= options_.region_names.size(); ++r) {
    const auto member = store::member_of(membership->record, RegionId{static_cast<std::uint8_t>(r)});
    states[options_.region_names[r - 1]] = r > membership->regions ? "not added" : store::to_string(member.state());
  }
  json out{{"node", options_.self.value},
           {"region", options_.region_names.at(options_.region.value - 1u)},
           {"epoch", membership->record.epoch()},
           {"regions", std::move(states)},
           {"recovering", store_.recovering()},
           {"clock_trusted", store_.clock_trusted()},
           {"certificates", store_.certificate_count()},
           {"groups", groups}};
  if (mode_ != nullptr) {
    out["mode"] = describe(mode_->view());
    out["queue"] = describe(desk_->summary());
  }
  return net::json_response(200, out.dump());
}

void Admin::set_degraded_metrics() {
  const auto mode = mode_->view().mode;
  for (const auto one :
       {degraded::Mode::kNormal, degraded::Mode::kReconciling, degraded::Mode::kPartial, degraded::Mode::kNoMajority})
    metrics_->mode.Add({{"mode", std::string(degraded::to_string(one))}}).Set(one == mode);
  const auto summary = desk_->summary();
  for (const auto kind : {degraded::v1::REVOCATION, degraded::v1::RENEWAL, degraded::v1::ISSUANCE}) {
    const auto count = summary.queue.by_kind.find(kind);
    metrics_->queued.Add({{"kind", std::string(degraded::to_string(kind))}})
        .Set(count == summary.queue.by_kind.end() ? 0 : static_cast<double>(count->second));
  }
  metrics_->queue_bytes.Set(static_cast<double>(summary.queue.bytes));
  metrics_->queue_oldest.Set(
      summary.queue.oldest_ms == 0 ? 0 : static_cast<double>(wall_.now().ms - summary.queue.oldest_ms) / 1000);
  metrics_->queue_out_of_order.Set(!summary.out_of_order.empty());
}

net::HttpResponse Admin::metrics() {
  for (const auto& g : store_.group_status()) {
    const std::string name = g.group.value == 0 ? "global" : options_.region_names.at(g.group.value - 1);
    const auto set = [&](const char* what, double value) {
      metrics_->group.Add({{"group", name}, {"value", what}}).Set(value);
    };
    set("term", static_cast<double>(g.term.value));
    set("leads", g.leads_here);
    set("leased", g.leased);
    set("quorum_lost", g.quorum_lost_ms.has_value());
    set("commit", static_cast<double>(g.commit.value));
    set("applied", static_cast<double>(g.applied.value));
    set("differing_states", static_cast<double>(g.differing.size()));
    set("lag_p99_seconds", static_cast<double>(g.lag_p99_ms) / 1000);
  }
  metrics_->certificates.Set(static_cast<double>(store_.certificate_count()));
  metrics_->clock.Set(store_.clock_trusted());
  metrics_->epoch.Set(static_cast<double>(store_.epoch().value));
  if (mode_ != nullptr) set_degraded_metrics();
  metrics_->may_sign.Set(store_.signing_epoch().has_value());
  net::HttpResponse response;
  response.headers.set("Content-Type", "text/plain; version=0.0.4");
  auto families = metrics_->registry.Collect();
  for (const auto& counter : watched_) {
    if (families.back().name != counter.name) {
      auto& family = families.emplace_back();
      family.name = counter.name;
      family.help = counter.help;
      family.type = counter.gauge ? prometheus::MetricType::Gauge : prometheus::MetricType::Counter;
    }
    auto& metric = families.back().metric.emplace_back();
    metric.label.push_back({counter.label, counter.value});
    (counter.gauge ? metric.gauge.value : metric.counter.value) = static_cast<double>(counter.read());
  }
  response.body = prometheus::TextSerializer().Serialize(families);
  return response;
}

net::HttpResponse Admin::crl(const net::HttpRequest& request, const std::string& file) {
  for (std::size_t r = 1; r <= options_.region_names.size(); ++r) {
    if (file != options_.region_names[r - 1] + ".crl") continue;
    const auto stored = store_.crl(RegionId{static_cast<std::uint8_t>(r)});
    if (!stored) return net::problem(stored.error());
    if (!*stored) return net::problem(fail(Code::kUnavailable, "this CRL has not been published yet").error());
    const std::string tag = "\"" + std::to_string((*stored)->number()) + "\"";
    net::HttpResponse response;
    response.headers.set("ETag", tag);
    response.headers.set("Cache-Control", "max-age=60, public");
    if (request.headers.find("If-None-Match") == tag) {
      response.status = 304;
      return response;
    }
    response.headers.set("Content-Type", "application/pkix-crl");
    response.body = (*stored)->der();
    return response;
  }
  return net::problem(404, "Not Found", "there is no CRL '" + file.substr(0, 64) + "'");
}

net::HttpResponse Admin::ca_certificate(const std::string& file) const {
  net::HttpResponse response;
  response.headers.set("Content-Type", "application/x-pem-file");
  if (file == "root.pem") response.body = options_.root_pem;
  if (file == "bundle.pem") response.body = options_.bundle_pem;
  for (const auto& [region, der] : options_.issuer_ders) {
    if (file != region + ".crt") continue;
    response.headers.set("Content-Type", "application/pkix-cert");
    response.body = der;
  }
  if (response.body.empty())
    return net::problem(404, "Not Found", "there is no CA certificate '" + file.substr(0, 64) + "'");
  return response;
}

}  // namespace evercert::api
