// SPDX-License-Identifier: Apache-2.0
#include "traffic/anycast/site.h"

#include <mutex>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/os/system.h"
#include "base/task_scope.h"
#include "net/http_server.h"
#include "net/ready_check.h"
#include "traffic/anycast/bird.h"

namespace evercert::traffic::anycast {
namespace {

constexpr Duration kBirdPatience = 1s;

std::vector<std::string> names_of(const std::vector<Service>& services) {
  std::vector<std::string> names;
  for (const Service& service : services) names.push_back(service.name);
  return names;
}

class SiteImpl : public Site {
 public:
  SiteImpl(SiteOptions options, MonotonicClock& clock)
      : options_(std::move(options)),
        clock_(clock),
        announcer_(options_.rules, names_of(options_.services)),
        bird_(options_.bird_socket, options_.protocol, kBirdPatience),
        faults_(options_.services.size(), "not checked yet") {}

  ~SiteImpl() override {
    if (http_) http_->stop(0ms);
    if (executor_) executor_->stop();
    checks_.cancel();
    client_.reset();
    if (!opened_) return;
    if (const Status gone = bird_.set(false); !gone)
      log_error("anycast: the route may still be announced: " + gone.error().message);
    else log_info("anycast: withdrawn, this site ends");
  }

  Status open() {
    EC_TRY(bird_.up());
    EC_TRY(bird_.set(false));
    opened_ = true;
    EC_ASSIGN(client_, net::HttpClient::create({"", options_.tls, 0, 1s}));
    net::HttpServerOptions http;
    http.listeners.push_back(
        {options_.status_address, options_.status_port, false, {}, net::ClientCertificates::kNone});
    http.max_connections = 64;
    EC_ASSIGN(http_,
              net::HttpServer::start(http, [this](net::HttpRequest request) { return page(std::move(request)); }));
    executor_ = os::ThreadExecutor::start("anycast");
    executor_->post([this] {
      for (std::size_t s = 0; s < options_.services.size(); ++s) checks_.spawn(watch(s));
      tick();
    });
    return {};
  }

  std::uint16_t status_port() const override { return http_->port(0); }

 private:
  Task<void> watch(std::size_t service) {
    for (;;) {
      const Instant begun = clock_.now();
      const auto answered =
          co_await net::ready_check(*client_, *executor_, checks_, options_.services[service].target, options_.timeout);
      const std::string fault = net::ready_fault(answered);
      {
        const std::lock_guard lock(mutex_);
        faults_[service] = fault;
        announcer_.checked(service, fault, clock_.now());
      }
      carry_out();
      auto wait = [this, left = std::max<Duration>(1ms, begun + options_.interval - clock_.now())](auto resolve) {
        executor_->post_after(left, [resolve = std::move(resolve)]() mutable { resolve(true); });
      };
      auto waited = suspend_on<bool>(*executor_, std::move(wait));
      co_await waited;
    }
  }

  // A hold ends without a check, and a BIRD that was started anew has forgotten what it was told.
  void tick() {
    carry_out();
    executor_->post_after(options_.interval, [this] { tick(); });
  }

  void carry_out() {
    bool wanted;
    std::string why;
    {
      const std::lock_guard lock(mutex_);
      wanted = announcer_.announce(clock_.now());
      why = announcer_.why();
    }
    const auto up = bird_.up();
    Status done = up ? Status{} : Status(std::unexpected(up.error()));
    const bool differs = up && *up != wanted;
    if (differs) done = bird_.set(wanted);
    const std::lock_guard lock(mutex_);
    if (!done) {
      if (bird_fault_ != done.error().message) log_error("anycast: " + done.error().message);
      bird_fault_ = done.error().message;
      return;
    }
    bird_fault_.clear();
    is_announced_ = wanted;
    if (differs)
      log_line(wanted ? LogLevel::kInfo : LogLevel::kWarning,
               std::string("anycast: ") + (wanted ? "announced: " : "withdrawn: ") + why);
  }

  Task<net::HttpResponse> page(net::HttpRequest request) {
    const std::lock_guard lock(mutex_);
    net::HttpResponse response;
    response.headers.set("Content-Type", "text/plain");
    if (request.path == "/healthz") {
      response.body = "ok\n";
    } else if (request.path == "/metrics") {
      response.headers.set("Content-Type", "text/plain; version=0.0.4");
      response.body = metrics();
    } else if (request.path == "/") {
      nlohmann::json services = nlohmann::json::array();
      for (std::size_t s = 0; s < faults_.size(); ++s)
        services.push_back(
            {{"service", options_.services[s].name}, {"last_check", faults_[s].empty() ? "good" : faults_[s]}});
      const nlohmann::json all{{"announced", is_announced_},
                               {"why", announcer_.why()},
                               {"held_seconds", announcer_.held(clock_.now()) / 1s},
                               {"changes", announcer_.changes()},
                               {"bird", bird_fault_.empty() ? "answers" : bird_fault_},
                               {"services", services}};
      response = net::json_response(200, all.dump(2) + "\n");
    } else {
      response = net::problem(404, "Not Found", "there are /, /healthz and /metrics");
    }
    co_return response;
  }

  std::string metrics() const {
    std::string out =
        "# HELP evercert_anycast_announced 1: the route is announced.\n# TYPE evercert_anycast_announced gauge\n"
        "evercert_anycast_announced " +
        std::to_string(is_announced_ ? 1 : 0) +
        "\n# HELP evercert_anycast_changes_total Announcements and withdrawals.\n"
        "# TYPE evercert_anycast_changes_total counter\nevercert_anycast_changes_total " +
        std::to_string(announcer_.changes()) +
        "\n# HELP evercert_anycast_bird_up 1: BIRD does as it is told.\n# TYPE evercert_anycast_bird_up gauge\n"
        "evercert_anycast_bird_up " +
        std::to_string(bird_fault_.empty() ? 1 : 0) +
        "\n# HELP evercert_anycast_service_ready 1: the last check was good.\n"
        "# TYPE evercert_anycast_service_ready gauge\n";
    for (std::size_t s = 0; s < faults_.size(); ++s)
      out += "evercert_anycast_service_ready{service=\"" + options_.services[s].name + "\"} " +
             (faults_[s].empty() ? "1" : "0") + "\n";
    return out;
  }

  const SiteOptions options_;
  MonotonicClock& clock_;
  mutable std::mutex mutex_;
  Announcer announcer_;
  Bird bird_;  // of the executor's thread, and of this object's beginning and end
  bool opened_ = false, is_announced_ = false;
  std::vector<std::string> faults_;  // by service, of the last check; empty: good
  std::string bird_fault_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<os::ThreadExecutor> executor_;
  TaskScope checks_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace

Result<std::unique_ptr<Site>> Site::start(SiteOptions options, MonotonicClock& clock) {
  auto site = std::make_unique<SiteImpl>(std::move(options), clock);
  EC_TRY(site->open());
  return site;
}

}  // namespace evercert::traffic::anycast
