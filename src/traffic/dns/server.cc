// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/server.h"

#include <list>
#include <nlohmann/json.hpp>

#include "base/os/system.h"
#include "net/http_server.h"
#include "traffic/dns/powerdns.h"
#include "traffic/dns/udp_server.h"

namespace evercert::traffic::dns {
namespace {

class ServerImpl : public Server {
 public:
  ServerImpl(ServerOptions options, MonotonicClock& clock, WallClock& wall, Random& random)
      : options_(std::move(options)), clock_(clock), wall_(wall), random_(random) {}

  // First who asks, then what answers, then what it answers from.
  ~ServerImpl() override {
    if (http_) http_->stop(0ms);
    if (powerdns_http_) powerdns_http_->stop(0ms);
    udp_.clear();
    tcp_.reset();
    checker_.reset();
  }

  Status open() {
    EC_ASSIGN(auto zone, Zone::create(options_.zone, options_.records_path, options_.records));
    zone_ = std::make_unique<Zone>(std::move(zone));
    // All sockets before the first answer: a server that is there in parts looks well and is not.
    std::vector<std::pair<Socket, bool>> udp;
    std::vector<Socket> tcp;
    for (SocketAddress address : options_.listen) {
      EC_ASSIGN(auto pair, open_pair(address));
      tcp.push_back(std::move(pair.second));
      Socket first = std::move(pair.first);
      if (options_.threads == 1) {
        udp.emplace_back(std::move(first), is_any(address.address));
      } else {
        first = Socket();
        for (int t = 0; t < options_.threads; ++t) {
          EC_ASSIGN(Socket shared, open_udp(address, true));
          udp.emplace_back(std::move(shared), is_any(address.address));
        }
      }
      listening_.push_back(address);
    }
    EC_ASSIGN(checker_,
              Checker::start(options_.checks, Brain(options_.regions, options_.policy, options_.rules, clock_.now()),
                             hub_, clock_, wall_));
    EC_ASSIGN(tcp_, TcpServer::start(std::move(tcp), handler(), hub_, clock_, options_.tcp));
    for (auto& [socket, any] : udp) udp_.push_back(UdpServer::start(std::move(socket), any, handler(), hub_, clock_));
    net::HttpServerOptions http;
    http.listeners.push_back(
        {to_string(options_.status.address), options_.status.port, false, {}, net::ClientCertificates::kNone});
    http.max_connections = 64;
    EC_ASSIGN(http_,
              net::HttpServer::start(http, [this](net::HttpRequest request) { return page(std::move(request)); }));
    return options_.powerdns ? serve_powerdns(*options_.powerdns) : Status{};
  }

  const std::vector<SocketAddress>& listening() const override { return listening_; }
  std::uint16_t status_port() const override { return http_->port(0); }
  std::optional<std::uint16_t> powerdns_port() const override {
    return powerdns_http_ ? std::optional(powerdns_http_->port(0)) : std::nullopt;
  }

 private:
  // One port for both protocols. Alone at first, so that another program that has the port is noticed.
  static Result<std::pair<Socket, Socket>> open_pair(SocketAddress& address) {
    const bool any_port = address.port == 0;
    for (int attempt = 1;; ++attempt) {
      EC_ASSIGN(Socket udp, open_udp(address, false));
      EC_ASSIGN(address.port, port_of(udp));
      auto tcp = open_tcp(address);
      if (tcp) return std::pair(std::move(udp), std::move(*tcp));
      // A port that the system chose for one may be taken for the other.
      if (!any_port || attempt == 16) return fail(std::move(tcp).error());
      address.port = 0;
    }
  }

  std::unique_ptr<Handler> handler() {
    HandlerOptions options;
    options.limits = options_.limits;
    // The system spreads a network's queries over the threads by their ports: each allows its part.
    for (double* limit :
         {&options.limits.answers, &options.limits.negatives, &options.limits.errors, &options.limits.work})
      *limit /= options_.threads;
    options.seed = random_.next();
    auto responder = std::make_unique<Responder>(
        *zone_, *options_.geography, options_.signer ? options_.signer->copy() : nullptr, options_.responder);
    counters_.emplace_back();
    auto made = std::make_unique<Handler>(std::move(responder), options, counters_.back());
    return made;
  }

  Status serve_powerdns(const SocketAddress& address) {
    powerdns_ = std::make_unique<PowerDns>(*zone_, Responder(*zone_, *options_.geography, nullptr, options_.responder));
    net::HttpServerOptions http;
    http.listeners.push_back({to_string(address.address), address.port, false, {}, net::ClientCertificates::kNone});
    http.max_connections = 256;
    EC_ASSIGN(powerdns_http_, net::HttpServer::start(
                                  http, [this](net::HttpRequest request) { return for_powerdns(std::move(request)); }));
    return {};
  }

  // On the one thread of its server.
  Task<net::HttpResponse> for_powerdns(net::HttpRequest request) {
    if (const std::uint64_t version = hub_.version(); version != powerdns_version_) {
      auto [view, now] = hub_.latest();
      powerdns_->use(std::move(view), now);
      powerdns_version_ = version;
    }
    co_return powerdns_->answer(request);
  }

  Task<net::HttpResponse> page(net::HttpRequest request) {
    net::HttpResponse response;
    response.headers.set("Content-Type", "text/plain");
    const std::shared_ptr<const View> view = hub_.latest().first;
    if (request.path == "/healthz") {
      response.body = "ok\n";
    } else if (request.path == "/readyz") {
      // Blind, it still answers, and as well as anybody can.
      response.body = view->blind() ? "ready, and blind: every region looks out\n" : "ready\n";
    } else if (request.path == "/metrics") {
      response.headers.set("Content-Type", "text/plain; version=0.0.4");
      response.body = metrics(*view);
    } else if (request.path == "/") {
      response = net::json_response(200, status(*view));
    } else {
      response = net::problem(404, "Not Found", "there are /, /healthz, /readyz and /metrics");
    }
    co_return response;
  }

  std::string status(const View& view) const {
    const auto reports = checker_->reports();
    nlohmann::json regions = nlohmann::json::array();
    for (std::size_t r = 0; r < view.facts().size(); ++r) {
      const RegionFacts& facts = view.facts()[r];
      nlohmann::json edges = nlohmann::json::array();
      for (std::size_t e = 0; e < facts.edges.size(); ++e) {
        nlohmann::json addresses = nlohmann::json::array();
        for (const IpAddress& address : facts.edges[e].addresses) addresses.push_back(to_string(address));
        const EdgeReport& report = reports[r][e];
        edges.push_back({{"addresses", addresses},
                         {"serving", static_cast<bool>(view.states()[r].serving[e])},
                         {"last_check", !report.checked ? "none yet"
                                        : report.passed ? "good"
                                                        : report.evidence},
                         {"last_check_ms", static_cast<double>(report.took.count()) / 1000}});
      }
      regions.push_back({{"region", facts.name},
                         {"endpoint", facts.endpoint},
                         {"in", view.states()[r].in},
                         {"share", view.states()[r].share},
                         {"weight", facts.weight},
                         {"priority", facts.priority},
                         {"edges", edges}});
    }
    const nlohmann::json all{{"zone", options_.zone.name},
                             {"generation", view.generation()},
                             {"serial", options_.zone.first_serial + view.generation()},
                             {"blind", view.blind()},
                             {"signed", options_.signer != nullptr},
                             {"regions", regions}};
    return all.dump(2) + "\n";
  }

  std::string metrics(const View& view) const {
    std::uint64_t udp = 0, tcp = 0, kept = 0, unanswerable = 0, cut = 0, dropped = 0;
    std::array<std::uint64_t, 17> codes{};
    for (const HandlerCounters& counters : counters_) {
      udp += counters.udp_queries.value();
      tcp += counters.tcp_queries.value();
      kept += counters.kept_answers.value();
      unanswerable += counters.unanswerable.value();
      cut += counters.limited_truncated.value();
      dropped += counters.limited_dropped.value();
      for (std::size_t i = 0; i < codes.size(); ++i) codes[i] += counters.answers[i].value();
    }
    std::string out;
    const auto family = [&](const char* name, const char* type, const char* help) {
      out += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
    };
    const auto line = [&](const std::string& name, double value) {
      out += name + " " + nlohmann::json(value).dump() + "\n";
    };
    family("evercert_dns_queries_total", "counter", "Messages that came in.");
    line("evercert_dns_queries_total{transport=\"udp\"}", static_cast<double>(udp));
    line("evercert_dns_queries_total{transport=\"tcp\"}", static_cast<double>(tcp));
    family("evercert_dns_answers_total", "counter", "Answers by their code (RFC 6895).");
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (codes[i] > 0)
        line("evercert_dns_answers_total{rcode=\"" + std::to_string(i) + "\"}", static_cast<double>(codes[i]));
    }
    family("evercert_dns_kept_answers_total", "counter", "Answers that had been worked out before.");
    line("evercert_dns_kept_answers_total", static_cast<double>(kept));
    family("evercert_dns_unanswered_total", "counter", "Messages that got no whole answer, by the reason.");
    line("evercert_dns_unanswered_total{reason=\"no_query\"}", static_cast<double>(unanswerable));
    line("evercert_dns_unanswered_total{reason=\"rate_truncated\"}", static_cast<double>(cut));
    line("evercert_dns_unanswered_total{reason=\"rate_dropped\"}", static_cast<double>(dropped));
    family("evercert_dns_generation", "gauge", "How often what is answered has changed.");
    line("evercert_dns_generation", static_cast<double>(view.generation()));
    family("evercert_dns_blind", "gauge", "1: every region looks out, and the last good answers stay.");
    line("evercert_dns_blind", view.blind() ? 1 : 0);
    family("evercert_dns_region_in", "gauge", "1: answers lead to the region.");
    for (std::size_t r = 0; r < view.facts().size(); ++r)
      line("evercert_dns_region_in{region=\"" + view.facts()[r].name + "\"}", view.states()[r].in ? 1 : 0);
    family("evercert_dns_region_share", "gauge", "Per cent of its usual traffic, by the failover controller.");
    for (std::size_t r = 0; r < view.facts().size(); ++r)
      line("evercert_dns_region_share{region=\"" + view.facts()[r].name + "\"}", view.states()[r].share);
    const auto reports = checker_->reports();
    const auto of_edges = [&](const char* name, const char* type, const char* help, auto value) {
      family(name, type, help);
      for (std::size_t r = 0; r < reports.size(); ++r) {
        for (std::size_t e = 0; e < reports[r].size(); ++e)
          line(std::string(name) + "{edge=\"" + view.facts()[r].name + "/" + std::to_string(e + 1) + "\"}",
               value(r, e));
      }
    };
    of_edges("evercert_dns_edge_serving", "gauge", "1: answers may name the edge.",
             [&](std::size_t r, std::size_t e) { return view.states()[r].serving[e] ? 1.0 : 0.0; });
    of_edges("evercert_dns_edge_check_seconds", "gauge", "How long the last check took.",
             [&](std::size_t r, std::size_t e) { return static_cast<double>(reports[r][e].took.count()) / 1e6; });
    of_edges("evercert_dns_edge_checks_total", "counter", "Checks.",
             [&](std::size_t r, std::size_t e) { return static_cast<double>(reports[r][e].checks); });
    of_edges("evercert_dns_edge_check_failures_total", "counter", "Checks that failed.",
             [&](std::size_t r, std::size_t e) { return static_cast<double>(reports[r][e].failures); });
    return out;
  }

  ServerOptions options_;
  MonotonicClock& clock_;
  WallClock& wall_;
  Random& random_;
  Hub hub_;
  std::unique_ptr<Zone> zone_;
  std::list<HandlerCounters> counters_;  // of each thread; none moves
  std::vector<SocketAddress> listening_;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<TcpServer> tcp_;
  std::vector<std::unique_ptr<UdpServer>> udp_;
  std::unique_ptr<net::HttpServer> http_;
  std::unique_ptr<PowerDns> powerdns_;
  std::uint64_t powerdns_version_ = 0;
  std::unique_ptr<net::HttpServer> powerdns_http_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, MonotonicClock& clock, WallClock& wall,
                                              Random& random) {
  auto server = std::make_unique<ServerImpl>(std::move(options), clock, wall, random);
  EC_TRY(server->open());
  return server;
}

}  // namespace evercert::traffic::dns
