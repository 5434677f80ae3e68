// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/edge.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>
#include <unordered_map>

#include "base/log.h"
#include "base/os/system.h"
#include "base/task_scope.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/link_client.h"
#include "traffic/edge/admin.h"
#include "traffic/edge/canary_file.h"
#include "traffic/edge/certificate_desk.h"
#include "traffic/edge/counters.h"
#include "traffic/edge/entrance.h"
#include "traffic/edge/forwarder.h"
#include "traffic/edge/forwarding.h"
#include "traffic/edge/ocsp_desk.h"
#include "traffic/edge/shared_reads.h"
#include "traffic/edge/status.h"

namespace evercert::traffic {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr Duration kLagSample = 20ms, kAdapt = 500ms, kAskShares = 1s;

class EdgeImpl : public Edge {
 public:
  EdgeImpl(EdgeOptions options, MonotonicClock& clock, Random& random)
      : options_(std::move(options)),
        clock_(clock),
        random_(random),
        backends_(options_.policies, clock, random.next()),
        entrance_(options_.door, backends_, clock),
        guests_(options_.guests, "evercert://" + options_.cluster + "/", random),
        checker_(os::ThreadExecutor::start("edge-checks")) {}

  // First what waits, then what it waits for.
  ~EdgeImpl() override {
    if (admin_) admin_->stop(0ms);
    if (server_) server_->stop(0ms);
    if (certificate_) certificate_->stop();
    checker_->stop();
    checks_.cancel();
    threads_.clear();
    forwarder_.reset();
    link_.reset();
    client_.reset();
  }

  Status open() {
    net::LinkClientOptions link;
    link.local_address = options_.address;
    link.tls = options_.tls;
    link.expected = "evercert://" + options_.cluster + "/node/";
    for (const auto& node : options_.nodes) {
      EC_TRY(backends_.add(node, false));
      link.targets.push_back({node.target.address, node.target.port});
    }
    for (const auto& edge : options_.other_edges) EC_TRY(backends_.add(edge, true));
    // Nodes come first among the backends, in the order of the link's targets.
    link.on_load = [this](std::size_t node, net::LinkLoad load) { backends_.told(node, load.in_flight, load.waiting); };
    EC_ASSIGN(link_, net::LinkClient::create(std::move(link)));
    EC_ASSIGN(client_, net::HttpClient::create({options_.address, options_.tls, 256, 60s}));
    releases_ = std::make_unique<Releases>(backends_, clock_);
    // A region none of whose nodes is of the new release has nothing to share out.
    if (releases_->state().any) {
      if (options_.canary_percent > 0) EC_TRY(releases_->begin(options_.canary_percent));
      if (!options_.canary_file.empty()) resume_canary();
    }
    shares_ = std::make_unique<SharesLead>(backends_, options_.region_name);
    forwarder_ = std::make_unique<Forwarder>(Forwarder::Parts{options_, backends_, entrance_, guests_, *releases_,
                                                              *shares_, counters_, *link_, *client_, clock_, random_});
    net::HttpServerOptions server;
    server.threads = options_.threads;
    server.busy_poll = options_.busy_poll;
    server.access_log = options_.front.access_log;
    server.handover = options_.front.handover;
    server.max_body_in_pieces = options_.front.largest_body;
    server.max_connections_per_client = options_.front.connections_per_client;
    const auto& proxies = options_.front.proxies;
    server.listeners.push_back({options_.address, options_.https_port, true, options_.tls,
                                net::ClientCertificates::kOptional, options_.front.ticket_secret, proxies,
                                options_.certificate ? options_.certificate->own.file : std::string()});
    server.listeners.push_back(
        {options_.address, options_.http_port, false, {}, net::ClientCertificates::kNone, {}, proxies});
    if (options_.certificate) {
      EC_ASSIGN(certificate_, CertificateDesk::open(options_, *forwarder_, clock_, random_,
                                                    [this] { server_->reload_certificates(); }));
      server.listeners.front().proofs = certificate_->proofs();
    }
    EC_ASSIGN(server_,
              net::HttpServer::start(server, [this](HttpRequest request) { return handle(std::move(request)); }));
    check_all();
    recheck_unhealthy();
    follow_shares();
    adapt();
    if (certificate_) certificate_->start();
    if (options_.admin_address.empty()) return {};
    net::HttpServerOptions admin;
    admin.max_connections = 64;
    admin.listeners.push_back({options_.admin_address, options_.admin_port, false, {}, net::ClientCertificates::kNone});
    EC_ASSIGN(admin_,
              net::HttpServer::start(admin, [this](HttpRequest request) { return administer(std::move(request)); }));
    log_info("edge: admin listener at " + options_.admin_address + ":" + std::to_string(admin_->port(0)));
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
    if (certificate_ && request.path.starts_with("/.well-known/")) {
      auto proof = certificate_->own().answer_to_challenge(request.headers.get("Host"), request.path);
      if (proof) {
        response.body = std::move(*proof);
        return response;
      }
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
      response.body = backend_metrics(backends_, entrance_) + counters_.metrics() + shares_->metrics() +
                      ocsp_metrics() + server_->metrics() + (certificate_ ? certificate_->own().metrics() : "");
      return response;
    }
    if (certificate_ && request.path == kProofPath && request.method == "POST" &&
        request.client_identity.starts_with("evercert://" + options_.cluster + "/edge/"))
      return certificate_->told(request.body);
    // Of the cluster itself: for an operator at another machine.
    if (request.path == "/edge/status" && request.client_identity.starts_with("evercert://" + options_.cluster + "/"))
      return status();
    return std::nullopt;
  }

  HttpResponse status() const {
    return net::json_response(200, status_page(backends_, entrance_, counters_, guests_, *releases_,
                                               certificate_ ? &certificate_->own() : nullptr));
  }

  Task<HttpResponse> administer(HttpRequest request) {
    if (request.path == "/edge/status") co_return status();
    if (auto changed = admin_change(request, backends_, *releases_, certificate_ ? &certificate_->own() : nullptr))
      co_return std::move(*changed);
    if (auto own = answer_myself(request)) co_return std::move(*own);
    co_return net::problem(404, "Not Found",
                           "here are /edge/status, /edge/canary, /edge/drain, /edge/undrain, /edge/renew, /metrics");
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
    OfThread& own = of_thread(*request.executor);
    if (OcspDesk::is_ocsp(request)) return answer_ocsp(own.desk, std::move(request));
    return answer_other(own.reads, std::move(request));
  }

  Task<HttpResponse> answer_other(SharedReads& reads, HttpRequest request) {
    if (auto own = answer_myself(request)) co_return std::move(*own);
    if (!SharedReads::shareable(request)) co_return co_await forwarder_->pass_on(std::move(request), std::nullopt);
    co_return co_await reads.get(std::move(request), *forwarder_, counters_);
  }

  Task<HttpResponse> answer_ocsp(OcspDesk& desk, HttpRequest request) {
    if (auto known = co_await desk.answer(request)) co_return std::move(*known);
    const std::string key(OcspDesk::key_of(request));
    auto response = co_await forwarder_->pass_on(std::move(request), desk.node());
    desk.fetched(key, response);
    co_return response;
  }

  // What each thread of the server has of its own. With it begins the watch over how late that thread is.
  struct OfThread {
    OcspDesk desk;
    SharedReads reads;
  };
  OfThread& of_thread(Executor& executor) {
    {
      std::shared_lock lock(threads_mutex_);
      const auto found = threads_.find(&executor);
      if (found != threads_.end()) return *found->second;
    }
    std::unique_lock lock(threads_mutex_);
    auto& made = threads_[&executor];
    if (made == nullptr) {
      made.reset(new OfThread{{executor, *link_, backends_, clock_, options_.region_name, ocsp_counts_}, {}});
      executor.post_after(kLagSample,
                          [this, &executor, due = clock_.now() + kLagSample] { sample_lag(executor, due); });
    }
    return *made;
  }

  void check_all() {
    for (std::size_t at = 0; at < backends_.size(); ++at) checks_.spawn(check(at));
    checker_->post_after(options_.check_interval, [this] { check_all(); });
  }

  // The same way that requests go.
  Task<void> check(std::size_t at) {
    net::LinkCall ready;
    ready.target = "/readyz";
    const auto result = co_await forwarder_->ask(*checker_, at, ready, options_.check_timeout);
    if (result && !backends_[at].remote)
      backends_.set_draining(at, Backends::Drained::kByItself, result->headers.find(kDraining).has_value());
    backends_.checked(at, result && result->status == 200);
    if (backends_[at].remote || !result) co_return;
    const auto problem = nlohmann::json::parse(result->bytes(), nullptr, false);
    std::lock_guard lock(why_mutex_);
    why_unready_ = problem.is_object() ? problem.value("detail", "") : "";
  }

  // Nobody is waited for: who does not answer says nothing.
  void follow_shares() {
    for (auto& question : shares_->questions()) checks_.spawn(ask_shares(std::move(question)));
    checker_->post_after(kAskShares, [this] { follow_shares(); });
  }

  Task<void> ask_shares(SharesLead::Question question) {
    net::LinkCall call;
    call.target = kSharesPath;
    const auto answer = co_await forwarder_->ask(*checker_, question.endpoint, call, options_.check_timeout);
    if (!answer || answer->status != 200) co_return;
    // An edge whose own nodes are gone asks another region: that is no second word.
    const bool remote = backends_[question.endpoint].remote;
    if (!remote || answer->headers.find("Evercert-Region") == question.name) shares_->said(question, answer->bytes());
  }

  // What is out, or said that it leaves, is looked at again soon, not in a whole interval.
  void recheck_unhealthy() {
    for (std::size_t at = 0; at < backends_.size(); ++at) {
      if (!backends_.healthy(at) || backends_.drained(at, Backends::Drained::kByItself)) checks_.spawn(check(at));
    }
    checker_->post_after(std::min<Duration>(options_.check_interval, 500ms), [this] { recheck_unhealthy(); });
  }

  // How late a timer of the loop is, is how long a request waits before anything looks at it.
  void sample_lag(Executor& loop, Instant due) {
    const Instant now = clock_.now();
    backends_.with([&](Upstream& upstream, Instant) { upstream.waited(std::max<Duration>(now - due, 0us), now); });
    loop.post_after(kLagSample, [this, &loop, next = now + kLagSample] { sample_lag(loop, next); });
  }

  // An edge that cannot keep it serves all the same.
  void resume_canary() {
    canary_file_.emplace(os::disk(), options_.canary_file, canary_beginning(backends_, options_.canary_percent));
    if (const auto resumed = canary_file_->resume(*releases_); !resumed)
      log_warning("edge: " + resumed.error().message);
  }
  void keep_canary() {
    const auto kept = canary_file_->keep(*releases_);
    if (!kept && canary_kept_)
      log_warning("edge: what becomes of the canary cannot be kept for a restart: " + kept.error().message);
    canary_kept_ = kept.has_value();
  }

  // Every half second: limits of clients follow the load; what was turned away is told once, however much it is.
  void adapt() {
    const bool overloaded = backends_.with(
        [](Upstream& upstream, Instant now) { return upstream.pressure() > 0.3 || upstream.utilisation(now) >= 1; });
    guests_.adapt(overloaded, clock_.now());
    std::uint64_t overload = 0, rate = 0;
    for (const auto& of : counters_.classes) {
      overload += of.overload;
      rate += of.rate;
    }
    if (overload != told_overload_ || rate != told_rate_) {
      log_warning("edge: turned away overload=" + std::to_string(overload - std::exchange(told_overload_, overload)) +
                  " rate=" + std::to_string(rate - std::exchange(told_rate_, rate)));
    }
    if (canary_file_) keep_canary();
    checker_->post_after(kAdapt, [this] { adapt(); });
  }

  const EdgeOptions options_;
  MonotonicClock& clock_;
  Random& random_;
  Backends backends_;
  Entrance entrance_;
  Guests guests_;
  std::unique_ptr<Releases> releases_;
  std::optional<CanaryFile> canary_file_;
  bool canary_kept_ = true;
  std::unique_ptr<SharesLead> shares_;
  EdgeCounters counters_;
  std::uint64_t told_overload_ = 0, told_rate_ = 0;
  OcspCounts ocsp_counts_;
  std::shared_mutex threads_mutex_;
  std::unordered_map<Executor*, std::unique_ptr<OfThread>> threads_;
  std::atomic<bool> draining_{false};
  std::mutex why_mutex_;
  std::string why_unready_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::LinkClient> link_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<CertificateDesk> certificate_;
  std::unique_ptr<os::ThreadExecutor> checker_;
  TaskScope checks_;
  std::unique_ptr<net::HttpServer> server_, admin_;
};

}  // namespace

Result<std::unique_ptr<Edge>> Edge::start(EdgeOptions options, MonotonicClock& clock, Random& random) {
  auto edge = std::make_unique<EdgeImpl>(std::move(options), clock, random);
  EC_TRY(edge->open());
  return edge;
}

}  // namespace evercert::traffic
