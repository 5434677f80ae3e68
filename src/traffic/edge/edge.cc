// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/edge.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>
#include <unordered_map>

#include "base/os/system.h"
#include "base/task_scope.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/link_client.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/forwarding.h"
#include "traffic/edge/ocsp_desk.h"
#include "traffic/policy/retry.h"

namespace evercert::traffic {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr Duration kTooLate = 50ms;  // with less time left nothing more is begun

class EdgeImpl : public Edge {
 public:
  EdgeImpl(EdgeOptions options, MonotonicClock& clock, Random& random)
      : options_(std::move(options)),
        clock_(clock),
        random_(random),
        edge_prefix_("evercert://" + options_.cluster + "/edge/"),
        checker_(os::ThreadExecutor::start("edge-checks")) {}

  // First what waits, then what it waits for.
  ~EdgeImpl() override {
    if (server_) server_->stop(0ms);
    checker_->stop();
    checks_.cancel();
    desks_.clear();
    link_.reset();
    client_.reset();
  }

  Status open() {
    net::LinkClientOptions link;
    link.local_address = options_.address;
    link.tls = options_.tls;
    link.expected = "evercert://" + options_.cluster + "/node/";
    for (const auto& node : options_.nodes) {
      EC_TRY(backends_.add(node, false, options_.thresholds));
      link.targets.push_back({node.target.address, node.target.port});
    }
    for (const auto& edge : options_.other_edges) EC_TRY(backends_.add(edge, true, options_.thresholds));
    EC_ASSIGN(link_, net::LinkClient::create(std::move(link)));
    EC_ASSIGN(client_, net::HttpClient::create({options_.address, options_.tls, 256, 60s}));
    net::HttpServerOptions server;
    server.threads = options_.threads;
    server.access_log = options_.front.access_log;
    server.handover = options_.front.handover;
    server.max_connections_per_client = options_.front.connections_per_client;
    const auto& proxies = options_.front.proxies;
    server.listeners.push_back({options_.address, options_.https_port, true, options_.tls,
                                net::ClientCertificates::kOptional, options_.front.ticket_secret, proxies});
    server.listeners.push_back(
        {options_.address, options_.http_port, false, {}, net::ClientCertificates::kNone, {}, proxies});
    EC_ASSIGN(server_,
              net::HttpServer::start(server, [this](HttpRequest request) { return handle(std::move(request)); }));
    check_all();
    recheck_unhealthy();
    return {};
  }

  void reload() override { server_->reload(); }
  bool handed_over() const override { return server_->handed_over(); }

  void drain(Duration patience) override {
    draining_ = true;
    server_->drain(patience);
  }

 private:
  std::optional<HttpResponse> answer_myself(const HttpRequest& request) {
    HttpResponse response;
    response.headers.set("Content-Type", "text/plain");
    if (request.path == "/healthz") {
      response.body = "ok\n";
      return response;
    }
    if (request.path == "/readyz") {
      if (draining_ || !backends_.any_node_healthy())
        return net::problem(503, "Service Unavailable",
                            draining_ ? "this edge is draining" : "no node of this region is healthy" + why_unready());
      response.body = "ready\n";
      return response;
    }
    if (request.path == "/metrics") {
      response.headers.set("Content-Type", "text/plain; version=0.0.4");
      response.body = backends_.metrics() + ocsp_metrics() + server_->metrics();
      return response;
    }
    return std::nullopt;
  }

  // What a node of this region gave as its reason last.
  std::string why_unready() {
    std::lock_guard lock(why_mutex_);
    return why_unready_.empty() ? "" : ": " + why_unready_;
  }

  std::string ocsp_metrics() const {
    return "# TYPE evercert_edge_ocsp_total counter\n# TYPE evercert_edge_ocsp_checks_total counter\n"
           "evercert_edge_ocsp_total{from=\"copy\"} " +
           std::to_string(ocsp_counts_.from_copies) + "\nevercert_edge_ocsp_total{from=\"node\"} " +
           std::to_string(ocsp_counts_.passed_on) + "\nevercert_edge_ocsp_checks_total " +
           std::to_string(ocsp_counts_.checks) + "\n";
  }

  Task<HttpResponse> handle(HttpRequest request) {
    if (OcspDesk::is_ocsp(request)) return answer_ocsp(std::move(request));
    return answer_other(std::move(request));
  }

  Task<HttpResponse> answer_other(HttpRequest request) {
    if (auto own = answer_myself(request)) co_return std::move(*own);
    co_return co_await pass_on(std::move(request), nullptr);
  }

  Task<HttpResponse> answer_ocsp(HttpRequest request) {
    OcspDesk& desk = desk_of(*request.executor);
    if (auto known = co_await desk.answer(request)) co_return std::move(*known);
    const std::string key(OcspDesk::key_of(request));
    auto response = co_await pass_on(std::move(request), desk.node());
    desk.fetched(key, response);
    co_return response;
  }

  // Each thread of the server has its own.
  OcspDesk& desk_of(Executor& executor) {
    {
      std::shared_lock lock(desks_mutex_);
      const auto found = desks_.find(&executor);
      if (found != desks_.end()) return *found->second;
    }
    std::unique_lock lock(desks_mutex_);
    auto& made = desks_[&executor];
    if (made == nullptr)
      made = std::make_unique<OcspDesk>(executor, *link_, backends_, clock_, options_.region_name, ocsp_counts_);
    return *made;
  }

  // To one endpoint after the other until one has answered; first to `preferred` when there is one that is well.
  Task<HttpResponse> pass_on(HttpRequest request, Backend* preferred) {
    const bool from_edge = request.client_identity.starts_with(edge_prefix_);
    const bool may_leave = !(from_edge && request.headers.find(kHop));
    const Instant deadline = clock_.now() + options_.request_timeout;
    net::LinkCall call;
    call.headers = forwarded_headers(request, from_edge, random_);
    call.method = std::move(request.method);
    call.target = std::move(request.target);
    call.body = std::move(request.body);
    const bool has_id = call.headers.find(kRequestId).has_value();
    const bool has_key = has_id || call.headers.find("Idempotency-Key");
    int attempt = has_id ? earlier_attempts(call.headers) : 0;
    {
      std::lock_guard lock(budget_mutex_);
      budget_.request();
    }
    Error last{Code::kUnavailable, "no node of any region could be reached"};
    std::optional<HttpResponse> refused;
    Backend* queuer = nullptr;  // who would keep it until there is a majority again
    Backends::Tried tried;
    bool elsewhere = false;  // to ask further is no repetition then, and takes nothing from their budget
    for (bool first = true;; first = false) {
      const Duration left = deadline - clock_.now();
      if (left <= kTooLate) break;
      Backend* backend = backends_.next(tried, may_leave, first ? preferred : nullptr, refused.has_value());
      if (backend == nullptr) break;
      if (!first && !std::exchange(elsewhere, false)) {
        std::lock_guard lock(budget_mutex_);
        if (!budget_.take(clock_.now())) break;
      }
      if (has_id) call.headers.set(kAttempt, std::to_string(++attempt));
      ++backend->in_flight;
      ++backend->requests;
      auto result = co_await ask(*request.executor, *backend, call, left);
      --backend->in_flight;
      if (result && result->status != 503) {
        if (!result->headers.find("Evercert-Region")) result->headers.add("Evercert-Region", options_.region_name);
        co_return std::move(*result);
      }
      elsewhere = result && result->headers.find(kElsewhere);
      if (!elsewhere) ++backend->failures;
      if (result) {  // 503: nothing was done there; another may do it
        if (queuer == nullptr && result->headers.find(kMayQueue)) queuer = backend;
        refused = std::move(*result);
        continue;
      }
      last = result.error();
      if (last.code != Code::kInvalid) backend->request_failed();
      if (!may_retry(last.code, call.method, request.path, has_key)) break;
    }
    if (!refused || last.code != Code::kUnavailable) co_return net::problem(last);
    if (queuer == nullptr) co_return std::move(*refused);
    // Another edge that asked first looks further itself.
    if (from_edge) {
      refused->headers.set(kMayQueue, "yes");
      co_return std::move(*refused);
    }
    co_return co_await have_queued(*request.executor, *queuer, call, deadline, std::move(*refused));
  }

  // Nobody could do it, surely nobody has begun: so it waits with one who offered to keep it.
  Task<HttpResponse> have_queued(Executor& on, Backend& queuer, net::LinkCall& call, Instant deadline,
                                 HttpResponse refused) {
    call.headers.set(kQueue, "yes");
    const Duration left = deadline - clock_.now();
    if (left > kTooLate) {
      auto queued = co_await ask(on, queuer, call, left);
      if (!queued && queued.error().code != Code::kUnavailable) co_return net::problem(queued.error());
      if (queued) refused = std::move(*queued);
    }
    refused.headers.remove(kMayQueue);
    if (!refused.headers.find("Evercert-Region")) refused.headers.add("Evercert-Region", options_.region_name);
    co_return std::move(refused);
  }

  // Nodes over the link, other regions' edges by HTTP.
  Task<Result<HttpResponse>> ask(Executor& on, Backend& backend, const net::LinkCall& call, Duration left) {
    return backend.remote ? ask_edge(on, backend, call, left) : link_->call(on, backend.link, call, left);
  }

  Task<Result<HttpResponse>> ask_edge(Executor& on, Backend& backend, const net::LinkCall& call, Duration left) {
    net::HttpCall out;
    out.target = backend.endpoint.target;
    out.method = call.method;
    out.path = call.target;
    out.headers = call.headers;
    out.headers.set(kHop, options_.region_name);
    out.body = call.body;
    out.timeout = left;
    out.emulated_round_trip =
        net::sample_round_trip(options_.delays, options_.region, backend.endpoint.region, random_);
    auto result = co_await client_->fetch(on, std::move(out));
    if (result) {
      for (const char* of_connection : {"Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive"})
        result->headers.remove(of_connection);
    }
    co_return result;
  }

  void check_all() {
    for (auto& backend : backends_.all()) checks_.spawn(check(*backend));
    checker_->post_after(options_.check_interval, [this] { check_all(); });
  }

  // The same way that requests go.
  Task<void> check(Backend& backend) {
    net::LinkCall ready;
    ready.target = "/readyz";
    const auto result = co_await ask(*checker_, backend, ready, options_.check_timeout);
    backend.checked(result && result->status == 200);
    if (backend.remote || !result) co_return;
    const auto problem = nlohmann::json::parse(result->bytes(), nullptr, false);
    std::lock_guard lock(why_mutex_);
    why_unready_ = problem.is_object() ? problem.value("detail", "") : "";
  }

  // What is out is looked at again soon, not in a whole interval.
  void recheck_unhealthy() {
    for (auto& backend : backends_.all()) {
      if (!backend->healthy()) checks_.spawn(check(*backend));
    }
    checker_->post_after(std::min<Duration>(options_.check_interval, 500ms), [this] { recheck_unhealthy(); });
  }

  const EdgeOptions options_;
  MonotonicClock& clock_;
  Random& random_;
  const std::string edge_prefix_;
  Backends backends_;
  OcspCounts ocsp_counts_;
  std::shared_mutex desks_mutex_;
  std::unordered_map<Executor*, std::unique_ptr<OcspDesk>> desks_;
  std::atomic<bool> draining_{false};
  std::mutex why_mutex_;
  std::string why_unready_;
  std::mutex budget_mutex_;
  RetryBudget budget_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::LinkClient> link_;
  std::unique_ptr<os::ThreadExecutor> checker_;
  TaskScope checks_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace

Result<std::unique_ptr<Edge>> Edge::start(EdgeOptions options, MonotonicClock& clock, Random& random) {
  auto edge = std::make_unique<EdgeImpl>(std::move(options), clock, random);
  EC_TRY(edge->open());
  return edge;
}

}  // namespace evercert::traffic
