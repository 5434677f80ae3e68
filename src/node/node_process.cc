// SPDX-License-Identifier: Apache-2.0
#include "node/node_process.h"

#include <atomic>
#include <future>

#include "api/acme/acme.h"
#include "api/admin/admin.h"
#include "api/admin/nodes.h"
#include "api/admin/regions.h"
#include "api/admin/standby_shares.h"
#include "api/coordination/etcd_server.h"
#include "api/coordination/rest_space.h"
#include "api/failover/capacity.h"
#include "api/ocsp/ocsp.h"
#include "api/rest/performer.h"
#include "api/rest/queued.h"
#include "api/rest/rest.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/os/system.h"
#include "base/task_scope.h"
#include "ca/ca.h"
#include "ca/crl_publisher.h"
#include "ca/ocsp_responder.h"
#include "ca/sweeper.h"
#include "config/paths.h"
#include "keys/sign_meter.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/link_server.h"
#include "net/ocsp_news.h"
#include "node/degraded_of.h"
#include "node/failover_of.h"
#include "node/failover_office.h"
#include "node/health_watch.h"
#include "node/layout_of.h"
#include "node/member.h"
#include "node/request_kinds.h"
#include "node/signers.h"
#include "node/standby_key.h"
#include "node/store_setup.h"
#include "node/witness_process.h"
#include "pki/pem.h"
#include "store/runtime.h"
#include "traffic/policy/deadline.h"

namespace evercert::node {
namespace {

constexpr Duration kTimeToTellEdges = 300ms;

class NodeProcessImpl : public NodeProcess {
 public:
  NodeProcessImpl(NodeOptions options, std::unique_ptr<Member> member)
      : options_(std::move(options)),
        member_(std::move(member)),
        config_(member_->config()),
        region_(&member_->region()),
        self_(&member_->self()),
        store_(&member_->store()),
        background_(&member_->background()) {}

  // First what waits, then what it waits for.
  ~NodeProcessImpl() override {
    if (link_) link_->stop(0ms);
    if (server_) server_->stop(0ms);
    member_->stop();
    if (office_) office_->stop();
    if (health_) health_->stop();
    for (auto* thread : {intent_writer_.get(), queue_executor_.get()}) {
      if (thread != nullptr) thread->stop();
    }
    settling_.cancel();
    office_.reset();
    health_.reset();
    queued_.reset();
    desk_.reset();
    sweeper_.reset();
    crls_.clear();
    standby_client_.reset();
    acme_.reset();
    ocsp_.reset();
    ca_.reset();
    link_.reset();
    server_.reset();
  }

  Status open() {
    intent_writer_ = os::ThreadExecutor::start("intents");
    queue_executor_ = os::ThreadExecutor::start("queue");
    // Peers are heard at once, clients of the key space when there is somebody to answer them.
    EC_TRY(member_->hear_peers([this](net::GrpcHost& host) { return open_etcd(host); }));
    EC_TRY(open_ca());
    open_queue();
    return open_server();
  }

  void drain(Duration patience) override {
    // Clients first: what they wait for needs the peers. For a moment all is answered as ever, with the word that this
    // node will go, so that edges ask others before anything is refused here.
    draining_ = true;
    std::promise<void> told;
    background_->post_after(kTimeToTellEdges, [&told] { told.set_value(); });
    told.get_future().wait();
    link_->drain(patience);
    server_->drain(patience);
    member_->drain(patience);
  }

  std::optional<Error> fatal() const override { return member_->fatal(); }

 private:
  Status open_etcd(net::GrpcHost& host) {
    api::EtcdServerOptions server;
    server.address = self_->address;
    server.port = self_->coordination_port;
    server.tls = tls();
    for (const auto& region : config_.regions) {
      if (region.witness) continue;
      for (const auto& node : region.nodes) {
        server.members.push_back({node.id, region.name + "-" + std::to_string(node.zone),
                                  "https://" + node.address + ":" + std::to_string(node.coordination_port),
                                  "https://" + node.address + ":" + std::to_string(node.peer_port)});
      }
    }
    EC_ASSIGN(etcd_, api::EtcdServer::create(std::move(server), host));
    return {};
  }

  net::TlsFiles tls() const { return tls_of(config_, *region_, *self_); }

  // What a token makes is counted: it may be used up while all processors are idle.
  Result<std::shared_ptr<pki::Signer>> open_key(const config::Paths& paths, const std::string& label) {
    EC_ASSIGN(auto signer, open_signer(*region_, paths, label));
    if (region_->hsm_module.empty()) return signer;
    return keys::metered(std::move(signer), sign_meter_);
  }

  Status open_ca() {
    const config::Paths paths(config_.dir);
    EC_ASSIGN(auto signer, open_key(paths, "issuing"));
    EC_ASSIGN(const auto issuer_pem, read_text_file(paths.issuer(region_->name)));
    EC_ASSIGN(const auto issuer_der, pki::from_pem("CERTIFICATE", issuer_pem));
    EC_ASSIGN(auto factory, pki::CertificateFactory::create(issuer_of(issuer_der.front()), signer));
    EC_ASSIGN(intents_, ca::Intents::open(os::disk(), options_.data_dir + "/intents", *intent_writer_));
    ca::CaOptions options;
    options.region = region_->id;
    options.regions = config_.regions.size();
    for (const auto& p : config_.profiles) {
      const auto usage = p.usage == "server"   ? pki::Usage::kServer
                         : p.usage == "client" ? pki::Usage::kClient
                                               : pki::Usage::kBoth;
      std::vector<pki::NameKind> kinds{pki::NameKind::kDns, pki::NameKind::kIp, pki::NameKind::kUri,
                                       pki::NameKind::kEmail};
      options.profiles[p.name] = {p.name, usage, p.validity_seconds, kinds, p.must_staple};
    }
    std::vector<ca::OcspIssuer> issuers;
    api::AdminOptions admin;
    for (const auto& region : config_.regions) {
      admin.region_names.push_back(region.name);
      if (region.witness) continue;  // it has no issuing key
      EC_ASSIGN(const auto pem, read_text_file(paths.issuer(region.name)));
      EC_ASSIGN(const auto der, pki::from_pem("CERTIFICATE", pem));
      EC_ASSIGN(const auto responder_pem, read_text_file(paths.responder(region_->name, region.name)));
      EC_ASSIGN(const auto responder_der, pki::from_pem("CERTIFICATE", responder_pem));
      EC_ASSIGN(auto responder, open_key(paths, "ocsp-" + region.name));
      issuers.push_back({region.id, der.front(), responder_der.front(), std::move(responder)});
      options.issuers[region.id.value] = {region.name, pem + "\n"};
      admin.issuer_ders[region.name] = der.front();
    }
    ca_ = std::make_unique<ca::CertificateAuthority>(std::move(options), *store_, std::move(factory), *intents_,
                                                     os::wall_clock(), os::secure_random());
    const ca::OcspOptions ocsp{.region = region_->id,
                               .regions = config_.regions.size(),
                               .validity_seconds = config_.ocsp_validity_seconds,
                               .incarnation = os::secure_random().next() | 1};
    EC_ASSIGN(responder_, ca::OcspResponder::create(ocsp, std::move(issuers), *store_, os::wall_clock()));
    EC_TRY(open_crls(paths, signer, admin.issuer_ders));
    settle_intents();
    sweeper_ = std::make_unique<ca::Sweeper>(ca::SweepOptions{}, *store_, os::wall_clock(), *background_);
    sweeper_->start();
    admin.self = self_->id;
    admin.region = region_->id;
    for (const auto& [name, der] : admin.issuer_ders) issuer_ders_[config_.region(name)->id] = der;
    EC_ASSIGN(admin.root_pem, read_file(os::disk(), paths.root_certificate()));
    EC_ASSIGN(const auto roots, pki::from_pem("CERTIFICATE", admin.root_pem));
    root_der_ = roots.front();
    EC_ASSIGN(admin.bundle_pem, read_file(os::disk(), paths.bundle()));
    admin_ = std::make_unique<api::Admin>(std::move(admin), *store_, os::wall_clock());
    watch_counters();
    return open_health(paths);
  }

  Status open_health(const config::Paths& paths) {
    roster_ = std::make_unique<RosterWatch>(config_, self_->id, [this] { return store_->membership(); });
    // The responder's key, and not the issuing key: it lies in the same token, and certifies nothing.
    EC_ASSIGN(auto key, open_key(paths, "ocsp-" + region_->name));
    EC_ASSIGN(health_, HealthWatch::create(health_options(config_, *self_, *roster_->now(), options_.data_dir),
                                           *roster_, *store_, *ca_, std::move(key), *standby_client_));
    health_->watch_by(*admin_);
    health_->mount(router_);
    health_->start();
    return {};
  }

  // Of every issuer: who signs its CRLs is a matter of the membership, which may change at any time.
  Status open_crls(const config::Paths& paths, const std::shared_ptr<pki::Signer>& own_key,
                   const std::map<std::string, std::string>& issuer_ders) {
    EC_ASSIGN(standby_client_, net::HttpClient::create({self_->address, tls()}));
    EC_ASSIGN(const auto token, open_token_of(*region_, paths));
    for (const auto& issuer : config_.regions) {
      if (issuer.witness) continue;
      const std::string& certificate = issuer_ders.at(issuer.name);
      ca::CrlOptions options;
      options.region = issuer.id;
      options.name = issuer.name;
      options.self = self_->id;
      options.interval_seconds = config_.crl_interval_seconds;
      options.validity_seconds = config_.crl_validity_seconds;
      std::shared_ptr<ca::CrlKey> key;
      if (issuer.id == region_->id) {
        key = std::make_shared<ca::OwnCrlKey>(pki::crl_signer(own_key));
      } else {
        key = std::make_shared<StandbyKey>(
            StandbyKeyOptions{region_->name, issuer.name, certificate, paths, token, who_has_shares_of(issuer)},
            *standby_client_);
      }
      crls_.push_back(std::make_unique<ca::CrlPublisher>(options, certificate, std::move(key), *store_,
                                                         os::wall_clock(), *background_));
      crls_.back()->start();
    }
    return {};
  }

  std::vector<StandbyKeyOptions::Place> who_has_shares_of(const config::RegionConfig& issuer) const {
    std::vector<StandbyKeyOptions::Place> places;
    for (const auto& region : config_.regions) {
      if (region.id == issuer.id || region.id == region_->id || region.witness) continue;
      StandbyKeyOptions::Place& place = places.emplace_back(StandbyKeyOptions::Place{region.name, {}});
      for (const auto& node : region.nodes) {
        place.nodes.push_back({node.address, node.api_port, true,
                               "node-" + std::to_string(node.id.value) + "." + config_.name + ".internal"});
      }
    }
    return places;
  }

  // What this region gives to who stands in for another. A cluster that was made without standbys has none.
  Result<std::map<std::string, std::string>> standby_shares(const config::Paths& paths) const {
    std::map<std::string, std::string> shares;
    for (const auto& issuer : config_.regions) {
      const std::string path = paths.standby_share(region_->name, issuer.name);
      if (!os::disk().exists(path)) continue;
      EC_ASSIGN(shares[issuer.name], read_text_file(path));
    }
    return shares;
  }

  void watch_counters() {
    const auto key_event = [this](const char* event, const std::atomic<std::uint64_t>& count) {
      admin_->watch({"evercert_request_keys_total",
                     "Idempotency keys: certificates given out for a key that turned out to be another's, certificates "
                     "withdrawn because the key was another's, claims sent again",
                     "event", event, [&count] { return count.load(); }});
    };
    const auto swept = [this](const char* record, const std::atomic<std::uint64_t>& count) {
      admin_->watch({"evercert_swept_total", "Records that were removed because their time was over", "record", record,
                     [&count] { return count.load(); }});
    };
    swept("order", sweeper_->counts().orders);
    swept("request_key", sweeper_->counts().request_keys);
    key_event("given_twice", ca_->counts().given_twice);
    key_event("withdrawn", ca_->counts().withdrawn);
    key_event("claim_repeated", ca_->counts().claims_repeated);
  }

  // Every region answers for every issuer: a certificate whose region is dead still names places that answer.
  pki::Issuer issuer_of(std::string certificate_der) const {
    pki::Issuer issuer{std::move(certificate_der), {}, {}, {}};
    const auto add = [&](const config::RegionConfig& at) {
      const std::string base = "http://" + at.edges.front().address + ":" + std::to_string(at.edges.front().http_port);
      issuer.ocsp_urls.push_back(base + "/ocsp");
      issuer.ca_issuers_urls.push_back(base + "/ca/" + region_->name + ".crt");
      issuer.crl_urls.push_back(base + "/crl/" + region_->name + ".crl");
    };
    if (!region_->removed) add(*region_);
    for (const auto& region : config_.regions) {
      if (region.id != region_->id && !region.removed && !region.witness) add(region);
    }
    return issuer;
  }

  // What waits for a majority, and the mode that says whether it must.
  void open_queue() {
    const auto& said = config_.degraded;
    degraded::DeskOptions options;
    options.self = self_->id;
    options.limits.most = static_cast<std::size_t>(said.most_queued);
    options.limits.bytes = static_cast<std::uint64_t>(said.most_queued_mib) << 20;
    desk_ = degraded::Desk::open(options, os::disk(), options_.data_dir + "/queue", *queue_executor_,
                                 os::monotonic_clock(), os::wall_clock(), os::secure_random());
    std::vector<std::string> groups{"global"};
    for (const auto& region : config_.regions) groups.push_back(region.name);
    mode_ = std::make_unique<degraded::ModeKeeper>(
        std::move(groups), *store_, [this] { return desk_->summary().queue.waiting; }, os::wall_clock(), *background_);
    mode_->start();
    desk_->start(
        [this](Executor& on, degraded::v1::Operation operation) {
          return api::perform_queued(*ca_, on, std::move(operation));
        },
        [this] { return mode_->view().mode != degraded::Mode::kNoMajority && !store_->recovering(); },
        {[this](const degraded::v1::Operation& operation) {
           if (operation.kind() == degraded::v1::REVOCATION) responder_->hold(operation.serial());
         },
         [this](const degraded::v1::Operation& operation) {
           if (operation.kind() == degraded::v1::REVOCATION) responder_->release(operation.serial());
         }});
    deferral_ = std::make_unique<api::Deferral>(policy_of(said), *desk_, *mode_, os::wall_clock());
    admin_->tell_of(*mode_, *desk_);
    for (const auto state : {degraded::v1::DONE, degraded::v1::REFUSED, degraded::v1::EXPIRED, degraded::v1::DROPPED}) {
      admin_->watch({"evercert_queue_ended_total", "Queued operations that came to an end, by which", "state",
                     std::string(degraded::to_string(state)), [this, state] {
                       const auto ended = desk_->summary().queue.ended;
                       const auto count = ended.find(state);
                       return count == ended.end() ? 0 : count->second;
                     }});
    }
  }

  void settle_intents() {
    background_->post_after(
        2s, [this] { settling_.spawn(ca_->settle_intents(*background_), [this](std::size_t) { settle_intents(); }); });
  }

  std::map<std::string, std::pair<std::string, api::Role>> tokens() const {
    std::map<std::string, std::pair<std::string, api::Role>> all;
    for (const auto& token : config_.tokens) {
      const auto role = token.role == "operator" ? api::Role::kOperator
                        : token.role == "issuer" ? api::Role::kIssuer
                                                 : api::Role::kReader;
      all[from_hex(token.sha256_hex).value_or("")] = {token.name, role};
    }
    return all;
  }

  Status open_coordination() {
    api::CoordinatorOptions options;
    options.self = self_->id;
    options.session = static_cast<std::uint64_t>(os::wall_clock().now().ms);
    for (const char c : config_.id.substr(0, 8))
      options.cluster_id = options.cluster_id << 8 | static_cast<std::uint8_t>(c);
    coordinator_ = std::make_unique<api::Coordinator>(options, *store_, *store_, os::secure_random());
    hub_ = std::make_unique<coordination::WatchHub>([this] { return store_->coordination_view(); });
    contenders_ = std::make_unique<coordination::LockTable>([this] { return store_->coordination_view(); });
    store_->on_coordination(
        [this](const coordination::Effects& effects) {
          hub_->applied(effects);
          contenders_->applied(effects);
        },
        [this] {
          hub_->replaced();
          contenders_->replaced();
        });
    locks_ = std::make_unique<api::Locks>(*coordinator_, *contenders_);
    rest_space_ = std::make_unique<api::RestSpace>(*rest_, *coordinator_, *locks_, *hub_);
    rest_space_->mount(router_);
    open_failover();
    etcd_->begin(api::Access(config_.name, tokens()), *coordinator_, *locks_, *hub_, *store_);
    return {};
  }

  // The controller is elected among all nodes; see docs/failover.md.
  void open_failover() {
    auto options = failover_options(config_, *self_, options_.cluster_file, options_.data_dir);
    options.issuer_ders = issuer_ders_;
    const recovery::Cluster cluster{roster_->now()->regions, {}};
    office_ = std::make_unique<FailoverOffice>(std::move(options), *roster_, *store_, *coordinator_, *locks_, meter_,
                                               *standby_client_, [this](recovery::Observation& seen) {
                                                 look_at(*health_, seen);
                                                 const auto signs = sign_meter_.load();
                                                 seen.load.signs = signs.rate;
                                                 seen.load.most_signs = signs.most;
                                                 const auto queue = desk_->summary();
                                                 seen.queued = queue.queue.waiting;
                                                 seen.queue_in_order = queue.out_of_order.empty();
                                               });
    failover_ = std::make_unique<api::Failover>(
        *rest_, *coordinator_, *locks_, cluster, os::wall_clock(), log_trust(config_, root_der_),
        api::FailoverHooks{[this] { return office_->observe(); }, [this] { return office_->seat(); },
                           [this](Executor& on, RegionId region) { return office_->rehearse(on, region); }});
    failover_->mount(router_);
    office_->mount(router_);
    office_->watch_by(*admin_);
    api::mount_capacity(router_, *rest_, cluster, [this] { return office_->capacity(); });
    office_->start();
  }

  Status open_server() {
    api::RestOptions rest;
    rest.region = region_->name;
    rest.cluster = config_.name;
    rest.tokens = tokens();
    rest_ = std::make_unique<api::Rest>(std::move(rest), *ca_, *store_);
    api::OcspApiOptions ocsp;
    ocsp.regions = config_.regions.size();
    ocsp.region_name = region_->name;
    ocsp.several_zones = region_->nodes.size() > 1;
    ocsp_ = std::make_unique<api::Ocsp>(std::move(ocsp), *responder_, *store_, os::wall_clock());
    rest_->defer_by(*deferral_);
    rest_->mount(router_);
    queued_ = std::make_unique<api::Queued>(*rest_, *ca_, *desk_, self_->id,
                                            [this](NodeId id) { return place_of(config_, id); });
    queued_->mount(router_);
    std::vector<std::string> names;
    for (const auto& region : config_.regions) names.push_back(region.name);
    std::vector<api::NodeAddress> in_file;
    for (const auto& region : config_.regions) {
      for (const auto& node : region.nodes)
        in_file.push_back({node.id, node.address, node.peer_port, node.coordination_port});
    }
    const store::RegionSet witnesses = layout_of(config_, self_->id).witnesses;
    regions_ = std::make_unique<api::Regions>(*rest_, *store_, self_->id, names, witnesses, in_file);
    regions_->mount(router_);
    nodes_ = std::make_unique<api::Nodes>(*rest_, *store_, names, std::move(in_file));
    nodes_->mount(router_);
    const config::Paths paths(config_.dir);
    EC_ASSIGN(auto shares, standby_shares(paths));
    shares_ = std::make_unique<api::StandbyShares>(config_.name, std::move(names), std::move(shares), *store_);
    shares_->mount(router_);
    EC_TRY(open_coordination());
    EC_ASSIGN(const auto nonce_key, read_text_file(paths.nonce_key(region_->name)));
    nonces_ = std::make_unique<api::Nonces>(nonce_key, os::monotonic_clock(), os::wall_clock(), os::secure_random());
    EC_ASSIGN(validator_,
              api::make_validator({self_->address, config_.resolver, config_.caa_identity, config_.http01_port},
                                  os::monotonic_clock()));
    api::AcmeOptions acme{region_->id, config_.regions.size()};
    acme.terms = {config_.terms.url, config_.terms.version};
    acme.caa_identity = config_.caa_identity;
    acme_ = std::make_unique<api::Acme>(std::move(acme), *ca_, *store_, *nonces_, *validator_, os::wall_clock(),
                                        os::secure_random());
    acme_->mount(router_);
    ocsp_->mount(router_);
    admin_->mount(router_);
    net::HttpServerOptions options;
    options.threads = 1;
    options.listeners.push_back({self_->address, self_->api_port, true, tls(), net::ClientCertificates::kRequired});
    options.listeners.push_back({self_->address, self_->status_port, false, {}, net::ClientCertificates::kNone});
    EC_ASSIGN(server_,
              net::HttpServer::start(options, [this](net::HttpRequest request) { return handle(std::move(request)); }));
    net::LinkServerOptions link;
    link.address = self_->address;
    link.port = self_->link_port;
    link.tls = tls();
    link.admitted = "evercert://" + config_.name + "/edge/";
    EC_ASSIGN(link_, net::LinkServer::start(
                         link, [this](net::HttpRequest request) { return handle(std::move(request)); },
                         [this](net::HttpRequest question) { return answer_edge(std::move(question)); }));
    return {};
  }

  // What an edge asks for itself.
  Task<net::HttpResponse> answer_edge(net::HttpRequest question) {
    if (question.target == net::kOcspNews) co_return co_await ocsp_->news(std::move(question));
    co_return net::problem(404, "Not Found", "no edge asks for '" + question.target + "'");
  }

  bool from_edge(const net::HttpRequest& request) const {
    return request.client_identity.starts_with("evercert://" + config_.name + "/edge/");
  }

  // What whoever asks does not wait for any more is not begun.
  std::optional<Error> too_late(const net::HttpRequest& request) const {
    const auto told = request.headers.find(traffic::kDeadlineHeader);
    if (!told || !from_edge(request)) return std::nullopt;
    const auto left = traffic::parse_deadline(*told);
    if (!left) return left.error();
    if (*left > Duration{0}) return std::nullopt;
    return Error{Code::kExpired, "the deadline of this request has passed: nothing was begun"};
  }

  Task<net::HttpResponse> handle(net::HttpRequest request) {
    const Instant begun = os::monotonic_clock().now();
    const bool counts = is_work(request.path);
    if (counts) meter_.begun();
    const auto count = [&](const std::string& kind, int status) {
      const Instant now = os::monotonic_clock().now();
      if (counts) meter_.ended(status, now - begun, now);
      admin_->count(kind, status, static_cast<double>((now - begun).count()) / 1e6);
    };
    auto known = ocsp_->quick(request);
    if (!known && ocsp_->may_be_quick(request)) known = co_await ocsp_->quick_in_common(request);
    if (known) {
      count("/ocsp", known->status);
      co_return std::move(*known);
    }
    const std::string route = route_of(request.path);
    std::optional<net::HttpResponse> refused;
    if (const auto late = too_late(request)) refused = net::problem(*late);
    // None of what a node does takes so much.
    if (request.source) refused = net::problem(413, net::reason_phrase(413), "the body is larger than 262144 bytes");
    if (refused) {
      count(route, refused->status);
      co_return std::move(*refused);
    }
    auto response = co_await router_.route(std::move(request));
    response.headers.set("Evercert-Region", region_->name);
    // An edge sends the next ones to others.
    if (draining_) response.headers.set("Evercert-Draining", "yes");
    if (response.status == 503 && mode_->degraded()) {
      // Whatever it was: a moment will not do.
      response.headers.set("Retry-After", api::kRetryDegraded);
      response.headers.set("Evercert-Mode", degraded::to_string(mode_->view().mode));
    }
    count(route, response.status);
    co_return response;
  }

  NodeOptions options_;
  std::atomic<bool> draining_{false};
  keys::SignMeter sign_meter_{os::monotonic_clock()};  // outlives whatever signs
  std::unique_ptr<Member> member_;                     // goes last
  const config::ClusterConfig& config_;                // of the member, as all of the next four
  const config::RegionConfig* region_;
  const config::NodeConfig* self_;
  store::Runtime* store_;
  os::ThreadExecutor* background_;
  std::unique_ptr<os::ThreadExecutor> intent_writer_, queue_executor_;
  TaskScope settling_;
  std::unique_ptr<ca::Intents> intents_;
  std::unique_ptr<ca::CertificateAuthority> ca_;
  std::unique_ptr<ca::OcspResponder> responder_;
  std::unique_ptr<net::HttpClient> standby_client_;
  std::vector<std::unique_ptr<ca::CrlPublisher>> crls_;  // by issuer
  std::unique_ptr<ca::Sweeper> sweeper_;
  std::unique_ptr<degraded::Desk> desk_;
  std::unique_ptr<degraded::ModeKeeper> mode_;
  std::unique_ptr<api::Deferral> deferral_;
  std::unique_ptr<api::Nonces> nonces_;
  std::unique_ptr<api::Validator> validator_;
  std::unique_ptr<api::Acme> acme_;
  std::unique_ptr<api::Rest> rest_;
  std::unique_ptr<api::Ocsp> ocsp_;
  std::unique_ptr<api::Admin> admin_;
  std::unique_ptr<RosterWatch> roster_;
  std::unique_ptr<HealthWatch> health_;
  recovery::Meter meter_;
  std::map<RegionId, std::string> issuer_ders_;
  std::string root_der_;
  std::unique_ptr<api::Failover> failover_;
  std::unique_ptr<FailoverOffice> office_;
  std::unique_ptr<api::Regions> regions_;
  std::unique_ptr<api::StandbyShares> shares_;
  std::unique_ptr<api::Nodes> nodes_;
  std::unique_ptr<api::Queued> queued_;
  api::Router router_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<net::LinkServer> link_;
  std::unique_ptr<coordination::WatchHub> hub_;
  std::unique_ptr<coordination::LockTable> contenders_;
  std::unique_ptr<api::Coordinator> coordinator_;
  std::unique_ptr<api::Locks> locks_;
  std::unique_ptr<api::RestSpace> rest_space_;
  std::unique_ptr<api::EtcdServer> etcd_;
};

}  // namespace

Result<std::unique_ptr<NodeProcess>> NodeProcess::start(NodeOptions options) {
  EC_ASSIGN(auto config, config::load_cluster(options.cluster_file));
  EC_ASSIGN(const auto* region, config::named_region(config, options.region));
  if (region->witness) return start_witness(std::move(options), std::move(config));
  EC_ASSIGN(auto member, Member::open(options, std::move(config)));
  auto process = std::make_unique<NodeProcessImpl>(std::move(options), std::move(member));
  EC_TRY(process->open());
  return process;
}

}  // namespace evercert::node
