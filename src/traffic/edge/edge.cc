// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/edge.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/encoding.h"
#include "base/log.h"
#include "base/os/system.h"
#include "traffic/policy/retry.h"

namespace evercert::traffic {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr std::string_view kHop = "Evercert-Hop";
constexpr std::string_view kClientIdentity = "Evercert-Client-Identity";
constexpr std::string_view kRequestId = "Evercert-Request-Id";

class EdgeImpl : public Edge {
 public:
  EdgeImpl(EdgeOptions options, MonotonicClock& clock, Random& random)
      : options_(std::move(options)),
        clock_(clock),
        random_(random),
        checker_(os::ThreadExecutor::start("edge-checks")) {
    for (auto& node : options_.nodes) backends_.push_back(std::make_unique<Backend>(node, false, options_.thresholds));
    for (auto& edge : options_.other_edges)
      backends_.push_back(std::make_unique<Backend>(edge, true, options_.thresholds));
  }

  ~EdgeImpl() override {
    server_.reset();
    checker_.reset();
    client_.reset();
  }

  Status open() {
    EC_ASSIGN(client_, net::HttpClient::create({options_.address, options_.tls, 256, 60s}));
    net::HttpServerOptions server;
    server.threads = options_.threads;
    server.listeners.push_back(
        {options_.address, options_.https_port, true, options_.tls, net::ClientCertificates::kOptional});
    server.listeners.push_back({options_.address, options_.http_port, false, {}, net::ClientCertificates::kNone});
    EC_ASSIGN(server_,
              net::HttpServer::start(server, [this](HttpRequest request) { return handle(std::move(request)); }));
    check_all();
    recheck_unhealthy();
    return {};
  }

  void drain(Duration patience) override {
    draining_ = true;
    server_->drain(patience);
  }

 private:
  struct Backend {
    Backend(EdgeEndpoint e, bool r, HealthThresholds t) : endpoint(std::move(e)), remote(r), health(t) {}
    EdgeEndpoint endpoint;
    bool remote;
    std::atomic<int> in_flight{0};
    std::atomic<std::uint64_t> requests{0}, failures{0};
    std::mutex mutex;
    EndpointHealth health;

    bool healthy() {
      std::lock_guard lock(mutex);
      return health.healthy();
    }
  };

  // Own nodes first, the least busy of them; then other regions; the unhealthy last of all, since a check may be wrong.
  std::vector<Backend*> candidates(bool may_leave_region) {
    std::vector<std::pair<int, Backend*>> ranked;
    const std::uint64_t turn = turn_++;
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      Backend* backend = backends_[(i + turn) % backends_.size()].get();
      if (backend->remote && !may_leave_region) continue;
      const int rank = (backend->healthy() ? 0 : 2'000'000) + (backend->remote ? 1'000'000 : 0) + backend->in_flight;
      ranked.emplace_back(rank, backend);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Backend*> out;
    for (const auto& [rank, backend] : ranked) out.push_back(backend);
    return out;
  }

  std::optional<HttpResponse> answer_myself(const HttpRequest& request) {
    HttpResponse response;
    response.headers.set("Content-Type", "text/plain");
    if (request.path == "/healthz") {
      response.body = "ok\n";
      return response;
    }
    if (request.path == "/readyz") {
      const bool any = !draining_ && std::any_of(backends_.begin(), backends_.end(),
                                                 [](auto& b) { return !b->remote && b->healthy(); });
      if (!any)
        return net::problem(503, "Service Unavailable",
                            draining_ ? "this edge is draining" : "no node of this region is healthy");
      response.body = "ready\n";
      return response;
    }
    if (request.path == "/metrics") {
      response.headers.set("Content-Type", "text/plain; version=0.0.4");
      response.body = metrics();
      return response;
    }
    return std::nullopt;
  }

  std::string metrics() {
    std::string out =
        "# TYPE evercert_edge_backend_healthy gauge\n# TYPE evercert_edge_backend_requests_total counter\n"
        "# TYPE evercert_edge_backend_failures_total counter\n";
    for (const auto& backend : backends_) {
      const std::string label = "{backend=\"" + backend->endpoint.target.address + ":" +
                                std::to_string(backend->endpoint.target.port) + "\",kind=\"" +
                                (backend->remote ? "edge" : "node") + "\"} ";
      out += "evercert_edge_backend_healthy" + label + (backend->healthy() ? "1" : "0") + "\n";
      out += "evercert_edge_backend_requests_total" + label + std::to_string(backend->requests) + "\n";
      out += "evercert_edge_backend_failures_total" + label + std::to_string(backend->failures) + "\n";
    }
    return out;
  }

  net::Headers forwarded_headers(const HttpRequest& request, bool from_edge) {
    net::Headers headers;
    static constexpr std::string_view kOwn[] = {
        "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Upgrade", "TE", "Expect"};
    static constexpr std::string_view kTrusted[] = {
        kHop, kClientIdentity, kRequestId, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"};
    const auto among = [](std::string_view name, const auto& list) {
      return std::any_of(std::begin(list), std::end(list), [&](std::string_view known) {
        return name.size() == known.size() &&
               std::equal(name.begin(), name.end(), known.begin(), [](char a, char b) { return (a | 32) == (b | 32); });
      });
    };
    for (const auto& [name, value] : request.headers.all()) {
      if (among(name, kOwn) || (!from_edge && among(name, kTrusted))) continue;
      headers.add(name, value);
    }
    if (!from_edge) {
      headers.set("X-Forwarded-For", request.peer_address);
      headers.set("X-Forwarded-Host", request.headers.get("Host"));
      headers.set("X-Forwarded-Proto", request.tls ? "https" : "http");
      if (!request.client_identity.empty()) headers.set(kClientIdentity, request.client_identity);
      // A key of our own makes our own repetition exact, when the client gave none.
      if (request.method == "POST" && request.path.starts_with("/v1/certificates") &&
          !request.headers.find("Idempotency-Key")) {
        headers.set(kRequestId, options_.region_name + "-" + to_hex(random_.bytes(16)));
      }
    }
    return headers;
  }

  Task<HttpResponse> handle(HttpRequest request) {
    if (auto own = answer_myself(request)) co_return std::move(*own);
    const bool from_edge = request.client_identity.starts_with("evercert://" + options_.cluster + "/edge/");
    const bool may_leave = !(from_edge && request.headers.find(kHop));
    const Instant deadline = clock_.now() + options_.request_timeout;
    net::HttpCall call;
    call.method = request.method;
    call.path = request.target;
    call.headers = forwarded_headers(request, from_edge);
    call.body = std::move(request.body);
    const bool has_key = call.headers.find("Idempotency-Key") || call.headers.find(kRequestId);
    {
      std::lock_guard lock(budget_mutex_);
      budget_.request();
    }
    Error last{Code::kUnavailable, "no node of any region could be reached"};
    std::optional<HttpResponse> refused;
    bool first = true;
    for (Backend* backend : candidates(may_leave)) {
      const Duration left = deadline - clock_.now();
      if (left <= 50ms) break;
      if (!std::exchange(first, false)) {
        std::lock_guard lock(budget_mutex_);
        if (!budget_.take(clock_.now())) break;
      }
      call.target = backend->endpoint.target;
      call.timeout = left;
      call.headers.remove(kHop);
      if (backend->remote) {
        call.headers.set(kHop, options_.region_name);
        call.emulated_round_trip =
            net::sample_round_trip(options_.delays, options_.region, backend->endpoint.region, random_);
      } else {
        call.emulated_round_trip = Duration{0};
      }
      ++backend->in_flight;
      ++backend->requests;
      auto result = co_await client_->fetch(*request.executor, call);
      --backend->in_flight;
      if (result && result->status != 503) {
        HttpResponse response = std::move(*result);
        response.headers.remove("Connection");
        response.headers.remove("Content-Length");
        response.headers.remove("Transfer-Encoding");
        if (!response.headers.find("Evercert-Region")) response.headers.set("Evercert-Region", options_.region_name);
        co_return response;
      }
      ++backend->failures;
      if (result) {  // 503: nothing was done there; another may do it
        refused = std::move(*result);
        continue;
      }
      {
        std::lock_guard lock(backend->mutex);
        backend->health.request_failed();
      }
      last = result.error();
      if (!may_retry(last.code, call.method, call.path, has_key)) break;
    }
    if (refused && last.code == Code::kUnavailable) {
      refused->headers.remove("Connection");
      refused->headers.remove("Content-Length");
      co_return std::move(*refused);
    }
    co_return net::problem(last);
  }

  void check_all() {
    for (auto& backend : backends_) spawn(check(*backend));
    checker_->post_after(options_.check_interval, [this] { check_all(); });
  }

  Task<void> check(Backend& backend) {
    net::HttpCall call;
    call.target = backend.endpoint.target;
    call.path = "/readyz";
    call.timeout = options_.check_timeout;
    call.connect_timeout = options_.check_timeout;
    if (backend.remote)
      call.emulated_round_trip =
          net::sample_round_trip(options_.delays, options_.region, backend.endpoint.region, random_);
    const auto result = co_await client_->fetch(*checker_, call);
    std::lock_guard lock(backend.mutex);
    const bool before = backend.health.healthy();
    if (result && result->status == 200) {
      backend.health.check_passed();
    } else {
      backend.health.check_failed();
    }
    if (before != backend.health.healthy()) {
      log_info("edge: " + backend.endpoint.target.address + (before ? " is out" : " is back"));
    }
  }

  // What is out is looked at again soon, not in a whole interval.
  void recheck_unhealthy() {
    for (auto& backend : backends_) {
      if (!backend->healthy()) spawn(check(*backend));
    }
    checker_->post_after(std::min<Duration>(options_.check_interval, 500ms), [this] { recheck_unhealthy(); });
  }

  EdgeOptions options_;
  MonotonicClock& clock_;
  Random& random_;
  std::vector<std::unique_ptr<Backend>> backends_;
  std::atomic<std::uint64_t> turn_{0};
  std::atomic<bool> draining_{false};
  std::mutex budget_mutex_;
  RetryBudget budget_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<os::ThreadExecutor> checker_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace

Result<std::unique_ptr<Edge>> Edge::start(EdgeOptions options, MonotonicClock& clock, Random& random) {
  auto edge = std::make_unique<EdgeImpl>(std::move(options), clock, random);
  EC_TRY(edge->open());
  return edge;
}

}  // namespace evercert::traffic
