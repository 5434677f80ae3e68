// SPDX-License-Identifier: Apache-2.0
#include "node/health_watch.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "base/rfc3339.h"
#include "config/paths.h"
#include "health/dependencies.h"
#include "keys/software_signer.h"
#include "net/ready_check.h"
#include "pki/certificate.h"
#include "pki/pem.h"
#include "store/keys.h"

namespace evercert::node {
namespace {

using nlohmann::json;

constexpr Duration kTick = 200ms;
constexpr std::size_t kLargestReport = 64 << 10;
constexpr const char *kReportPath = "/v1/health/node", *kTrackRecord = "/forecasts.json";
constexpr const char *kDatabase = "database", *kHsm = "HSM", *kCertificates = "certificates",
                     *kFollowed = "followed groups", *kResolver = "resolver";
// The specification: less than 100 ms of lag between regions.
constexpr double kGoodLagMs = 100, kBadLagMs = 1000;
constexpr double kGoodFree = 0.2, kBadFree = 0.03;
constexpr double kLeastMemory = 0.05, kMostErrors = 0.01, kSlowMs = 500;
constexpr Duration kServedStep = 10s, kEndingsStep = 10s, kCaughtUp = 10s;

Result<pki::CertificateFacts> first_certificate(const std::string& path) {
  EC_ASSIGN(const std::string text, read_file(os::disk(), path));
  EC_ASSIGN(const auto ders, pki::from_pem("CERTIFICATE", text));
  if (ders.empty()) return fail(Code::kInvalid, "no certificate is in it");
  return pki::read_certificate(ders.front());
}

json part(const health::Score& score) {
  json why = json::array();
  for (const auto& reason : score.reasons) why.push_back({{"points", reason.points}, {"what", reason.text}});
  return {{"score", score.points}, {"text", score.to_text()}, {"why", std::move(why)}};
}

}  // namespace

HealthWatchOptions health_options(const config::ClusterConfig& config, const config::NodeConfig& self,
                                  const Roster& roster, std::string data_dir) {
  HealthWatchOptions options;
  options.data_dir = std::move(data_dir);
  options.board.self = self.id;
  options.board.nodes = roster.nodes;
  options.board.regions = roster.regions;
  const config::Paths paths(config.dir);
  options.resolver = config.resolver;
  options.address = self.address;
  options.certificates.emplace_back("root certificate", paths.root_certificate());
  for (const auto& region : config.regions) {
    const bool own = region.id == region_of(self.id);
    if (own) options.certificates.emplace_back("node certificate", paths.node(region.name, self.zone) + ".pem");
    if (!region.witness) options.issuers.emplace_back(region.id, region.name);
    if (own && !region.witness) {
      options.certificates.emplace_back("issuing certificate", paths.issuer(region.name));
      options.certificates.emplace_back("OCSP responder certificate", paths.responder(region.name, region.name));
    }
  }
  return options;
}

Result<std::unique_ptr<HealthWatch>> HealthWatch::create(HealthWatchOptions options, RosterWatch& roster,
                                                         store::Runtime& store, ca::CertificateAuthority& ca,
                                                         std::shared_ptr<pki::Signer> key, net::HttpClient& client) {
  if (ca.options().profiles.empty()) return fail(Code::kInvalid, "the cluster file has no profile");
  ca::IssueRequest sample;
  const std::vector<pki::Name> names{{pki::NameKind::kDns, "health.evercert.internal"}};
  EC_ASSIGN(const auto sample_key, keys::generate_key_pem(pki::KeyKind::kP256));
  EC_ASSIGN(const auto csr, keys::make_csr_pem(sample_key, names));
  EC_ASSIGN(sample.csr, pki::parse_csr_pem(csr));
  sample.names = names;
  sample.profile = ca.options().profiles.begin()->first;
  sample.home = ca.options().region;
  return std::unique_ptr<HealthWatch>(
      new HealthWatch(std::move(options), roster, store, ca, std::move(key), client, std::move(sample)));
}

HealthWatch::HealthWatch(HealthWatchOptions options, RosterWatch& roster, store::Runtime& store,
                         ca::CertificateAuthority& ca, std::shared_ptr<pki::Signer> key, net::HttpClient& client,
                         ca::IssueRequest sample)
    : options_(std::move(options)),
      roster_watch_(roster),
      store_(store),
      ca_(ca),
      key_(std::move(key)),
      client_(client),
      sample_(std::move(sample)),
      board_(options_.board, os::monotonic_clock().now()),
      foresight_({}),
      resolver_counts_(!options_.resolver.empty()),
      resolver_(net::DnsResolver::create(options_.resolver, options_.address, 1)) {
  follow_roster(os::monotonic_clock().now());
  load_track_record();
}

// What an earlier life of this node had counted.
void HealthWatch::load_track_record() {
  const std::string path = options_.data_dir + kTrackRecord;
  if (!os::disk().exists(path)) return;
  auto text = read_file(os::disk(), path);
  auto record = text ? health::parse_track_record(*text) : fail(text.error());
  if (!record) return log_warning("health: " + path + ": " + record.error().message + ": forecasts are counted anew");
  foresight_.resume(std::move(*record));
  kept_record_ = std::move(*text);
}

void HealthWatch::keep_track_record() {
  std::string text;
  {
    std::lock_guard lock(mutex_);
    text = health::to_json(foresight_.track_record());
  }
  if (text == kept_record_) return;
  const std::string path = options_.data_dir + kTrackRecord;
  if (const Status kept = write_file_durably(os::disk(), path, text); !kept)
    return log_warning("health: " + path + ": " + kept.error().message);
  kept_record_ = std::move(text);
}

// Nodes that came, or went, while this one runs.
void HealthWatch::follow_roster(Instant now) {
  auto fresh = roster_watch_.now();
  if (fresh == roster_) return;
  std::lock_guard lock(mutex_);
  board_.set_nodes(fresh->nodes, now);
  std::erase_if(witnesses_, [&](const auto& known) { return !fresh->witnesses.contains(known.first); });
  for (const auto& [node, witness] : fresh->witnesses)
    witnesses_.try_emplace(node, witness.name, health::kApiCheck, now);
  roster_ = std::move(fresh);
}

// What was checked while it was none of the nodes yet, or had lost its disk, could only fail.
void HealthWatch::begin_anew_as_voter(Instant now) {
  const auto view = store_.membership();
  const bool votes = !view->groups.empty() && std::ranges::all_of(view->groups, [this](const auto& group) {
    return group.votes_everywhere(options_.board.self);
  });
  if (std::exchange(votes_, votes) || !votes) return;
  votes_since_ = now;
  std::lock_guard lock(mutex_);
  for (const auto& [name, plan] : {std::pair{kDatabase, health::kDatabaseCheck},
                                   {kFollowed, health::kFollowedCheck},
                                   {kHsm, health::kHsmCheck},
                                   {kCertificates, health::kCertificateCheck}})
    board_.check(name, plan, now) = health::Component(name, plan, now);
}

void HealthWatch::start() {
  executor_ = os::ThreadExecutor::start("health");
  key_executor_ = os::ThreadExecutor::start("health-key");
  executor_->post([this] { tick(); });
}

void HealthWatch::stop() {
  for (auto* thread : {key_executor_.get(), executor_.get()}) {
    if (thread != nullptr) thread->stop();
  }
  tasks_.cancel();
}

void HealthWatch::tick() {
  const Instant now = os::monotonic_clock().now();
  begin_anew_as_voter(now);
  measure(now);
  follow_roster(now);
  std::vector<NodeId> nodes, witnesses;
  bool database = false, followed = false, resolver = false, key = false, certificates = false;
  const auto heard = store_.last_heard();
  {
    std::lock_guard lock(mutex_);
    for (const auto& [node, at] : heard) {
      if (std::exchange(heard_[node], at) != at) board_.heard(node, at);
    }
    for (const auto& change : board_.review(now)) {
      const std::string& name = options_.board.regions.at(change.region);
      log_warning("health: " + name + (change.out ? " is out: " : " is back: ") + change.evidence);
    }
    nodes = board_.due(now);
    for (const NodeId node : nodes) board_.asked(node, now);
    for (auto& [node, witness] : witnesses_) {
      witness.expire(now);
      if (!witness.due(now)) continue;
      witness.began(now);
      witnesses.push_back(node);
    }
    const auto begin = [&](const char* name, health::CheckPlan plan) {
      auto& component = board_.check(name, plan, now);
      const bool due = component.due(now);
      if (due) component.began(now);
      return due;
    };
    database = begin(kDatabase, health::kDatabaseCheck);
    followed = begin(kFollowed, health::kFollowedCheck);
    if (resolver_counts_) resolver = begin(kResolver, health::kResolverCheck);
    key = begin(kHsm, health::kHsmCheck);
    certificates = begin(kCertificates, health::kCertificateCheck);
  }
  for (const NodeId node : nodes) tasks_.spawn(ask(node));
  for (const NodeId node : witnesses) tasks_.spawn(ask_witness(node));
  if (database) tasks_.spawn(check_groups(kDatabase, needed_groups()));
  if (followed) tasks_.spawn(check_groups(kFollowed, followed_groups()));
  if (resolver || (!resolver_counts_ && now >= next_resolver_)) {
    next_resolver_ = now + health::kResolverCheck.interval;
    tasks_.spawn(check_resolver());
  }
  // While the token has not answered the last one, another would only queue behind it: its time-out counts.
  if (key && !key_busy_.exchange(true)) key_executor_->post([this] { check_key(); });
  if (certificates) {
    if (!issuing_key_busy_.exchange(true)) key_executor_->post([this] { check_certificates(); });
    keep_track_record();
  }
  if (now >= next_endings_) {
    next_endings_ = now + kEndingsStep;
    look_at_endings();
  }
  executor_->post_after(kTick, [this] { tick(); });
}

void HealthWatch::measure(Instant now) {
  std::int64_t lag = 0;
  for (const auto& group : store_.group_status()) lag = std::max(lag, group.lag_p99_ms);
  // What it has just caught up with came late, and is no lag of its own: the meter has forgotten it by then.
  if (now - votes_since_ < kCaughtUp) lag = 0;
  const auto free = os::free_share(options_.data_dir);
  std::lock_guard lock(mutex_);
  board_.measured("replication", health::measured(static_cast<double>(lag), kGoodLagMs, kBadLagMs,
                                                  "lag p99 " + std::to_string(lag) + " ms"));
  board_.measured("clock", health::judge_clock(store_.clock_offset_ms(), store_.clock_trusted()));
  foresight_.measured("replication lag", "ms", {kBadLagMs, false}, static_cast<double>(lag), now);
  if (const auto memory = os::available_memory_share())
    foresight_.measured("memory", "share available", {kLeastMemory, true}, *memory, now);
  measure_served(now);
  if (!free) return board_.measured("disk", {0, {{100, free.error().message}}});
  const auto percent = static_cast<long>(*free * 100);
  board_.measured(
      "disk", health::measured(1 - *free, 1 - kGoodFree, 1 - kBadFree, "disk " + std::to_string(percent) + " % free"));
  foresight_.measured("disk", "share free", {kBadFree, true}, *free, now);
}

// Of the last seconds in which anything was asked.
void HealthWatch::measure_served(Instant now) {
  if (admin_ == nullptr || now < next_served_) return;
  next_served_ = now + kServedStep;
  const auto all = admin_->served();
  const auto before = std::exchange(served_, all);
  if (all.requests == before.requests) return;
  const auto requests = static_cast<double>(all.requests - before.requests);
  foresight_.measured("error rate", "share of requests", {kMostErrors, false},
                      static_cast<double>(all.failed - before.failed) / requests, now);
  foresight_.measured("latency", "ms, mean", {kSlowMs, false},
                      static_cast<double>(all.microseconds - before.microseconds) / 1000 / requests, now);
}

// Files are read anew: whoever renewed one is believed.
void HealthWatch::look_at_endings() {
  std::vector<std::tuple<std::string, std::int64_t, std::int64_t>> found;
  for (const auto& [what, path] : options_.certificates) {
    const auto facts = first_certificate(path);
    if (facts) found.emplace_back(what, facts->not_before, facts->not_after);
    else log_warning("health: " + path + ": " + facts.error().message);
  }
  for (const auto& [issuer, name] : options_.issuers) {
    const auto crl = store_.crl(issuer);
    if (crl && *crl) found.emplace_back("CRL of " + name, (*crl)->this_update(), (*crl)->next_update());
  }
  const std::int64_t now = os::wall_clock().now().seconds();
  std::lock_guard lock(mutex_);
  for (const auto& [what, begin, end] : found) foresight_.ends(what, begin, end);
  board_.measured("renewals", foresight_.endings_score(now));
}

Task<void> HealthWatch::ask(NodeId node) {
  net::HttpCall call;
  call.target = roster_->peers.at(node);
  call.path = kReportPath;
  call.connect_timeout = call.timeout = health::kApiCheck.timeout;
  call.max_response_bytes = kLargestReport;
  const auto response = co_await client_.fetch(*executor_, std::move(call));
  Result<health::Report> report = fail(Code::kUnavailable, "");
  if (!response) report = fail(response.error());
  else if (response->status != 200) report = fail(Code::kUnavailable, "answers " + std::to_string(response->status));
  else report = health::parse_report(response->body);
  std::lock_guard lock(mutex_);
  board_.answered(node, std::move(report), os::monotonic_clock().now());
}

// It has no interface but its plain port, and says there whether it takes part.
Task<void> HealthWatch::ask_witness(NodeId node) {
  net::HttpCall call;
  call.target = roster_->witnesses.at(node).target;
  call.path = "/readyz";
  call.connect_timeout = call.timeout = health::kApiCheck.timeout;
  call.max_response_bytes = kLargestReport;
  const auto response = co_await client_.fetch(*executor_, std::move(call));
  const std::string why = net::ready_fault(response);
  std::lock_guard lock(mutex_);
  const auto known = witnesses_.find(node);
  if (known != witnesses_.end()) known->second.ended({why.empty(), {}, why}, os::monotonic_clock().now());
}

void HealthWatch::ended(const char* component, health::CheckResult result) {
  std::lock_guard lock(mutex_);
  const Instant now = os::monotonic_clock().now();
  board_.check(component, {}, now).ended(std::move(result), now);
}

void HealthWatch::ended(const char* component, const Status& how) {
  ended(component, health::CheckResult{how.has_value(), {}, how ? "" : how.error().message});
}

// Without them nothing is issued or revoked here.
std::vector<HealthWatch::Group> HealthWatch::needed_groups() const {
  std::vector<Group> groups{{kGlobalGroup, "global"}};
  const RegionId own = region_of(options_.board.self);
  for (const auto& [region, name] : options_.issuers) {
    if (region == own) groups.push_back({home_group(region), name});
  }
  return groups;
}

// Whose records are answered for here, and written where they are led.
std::vector<HealthWatch::Group> HealthWatch::followed_groups() const {
  std::vector<Group> groups;
  const RegionId own = region_of(options_.board.self);
  for (const auto& [region, name] : options_.issuers) {
    if (region != own) groups.push_back({home_group(region), name});
  }
  return groups;
}

// A fresh read takes a lease or a leader, and the state.
Task<store::Freshness> HealthWatch::read(GroupId group) {
  return store_.freshen(*executor_, group, group == kGlobalGroup ? store::membership_record() : std::string(),
                        health::kDatabaseCheck.timeout - 500ms);
}

// All at once: one that is not to be read does not hold up the others' answers.
Task<void> HealthWatch::check_groups(const char* component, std::vector<Group> groups) {
  std::vector<Started<store::Freshness>> reading;
  reading.reserve(groups.size());
  for (const Group& group : groups) reading.emplace_back(tasks_, read(group.id));
  std::vector<health::GroupRead> reads;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const store::Freshness freshness = co_await reading[i];
    reads.push_back({groups[i].name, freshness == store::Freshness::kFresh});
  }
  ended(component, health::judge_reads(reads));
}

// The name servers of the root: every resolver knows them, and no domain of anybody's is asked about.
Task<void> HealthWatch::check_resolver() {
  auto asking = resolver_->lookup(*executor_, ".", net::DnsType::kNs);
  const auto answer = co_await asking;
  if (resolver_counts_) co_return ended(kResolver, answer ? Status{} : fail(answer.error()));
  resolver_counts_ = answer.has_value();
}

void HealthWatch::check_key() {
  // Never the beginning of a certificate or of anything else in DER.
  const auto signature = key_->sign("Evercert health check " + rfc3339(os::wall_clock().now().ms));
  key_busy_ = false;
  ended(kHsm, signature ? Status{} : fail(signature.error()));
}

// All of an issuance but the certificate: policy, profile, lint, whether the issuing key may be used now, and then a
// signature of it, over what can be no certificate.
void HealthWatch::check_certificates() {
  Status how = ca_.check(sample_);
  if (how) {
    if (const auto epoch = store_.signing_epoch(); !epoch) how = fail(epoch.error());
  }
  if (how) how = ca_.try_key();
  issuing_key_busy_ = false;
  ended(kCertificates, how);
}

void HealthWatch::mount(api::Router& router) {
  router.add("GET", kReportPath, [this](net::HttpRequest, auto) -> Task<net::HttpResponse> {
    std::string body;
    {
      std::lock_guard lock(mutex_);
      body = health::to_json(board_.report());
    }
    co_return net::json_response(200, std::move(body));
  });
  router.add("GET", "/v1/health", [this](net::HttpRequest, auto) -> Task<net::HttpResponse> {
    co_return net::json_response(200, describe());
  });
}

std::string HealthWatch::describe() {
  std::lock_guard lock(mutex_);
  json regions = json::array();
  for (const RegionId id : board_.regions()) {
    json region = part(board_.region(id));
    region["region"] = options_.board.regions.at(id);
    region["out"] = board_.out(id);
    json services = json::object(), nodes = json::array();
    for (const auto& service : board_.services()) services[service] = part(board_.service(id, service));
    for (const auto& [node, of] : roster_->nodes) {
      if (of != id) continue;
      json one = part(board_.node(node));
      one["node"] = node.value;
      one["name"] = options_.board.regions.at(id) + "/" + std::to_string(node.value % 256);
      nodes.push_back(std::move(one));
    }
    region["services"] = std::move(services);
    region["nodes"] = std::move(nodes);
    regions.push_back(std::move(region));
  }
  json out{{"seen_by", options_.board.self.value}, {"globe", part(board_.globe())}, {"regions", std::move(regions)}};
  json witnesses = json::array();
  for (const auto& [node, witness] : witnesses_) {
    json one = part(witness.score());
    one["witness"] = witness.name();
    one["node"] = node.value;
    witnesses.push_back(std::move(one));
  }
  out["witnesses"] = std::move(witnesses);
  json forecasts = json::array();
  for (const auto& one : foresight_.forecasts(os::monotonic_clock().now())) {
    forecasts.push_back({{"what", one.what},
                         {"unit", one.unit},
                         {"limit", one.limit.value},
                         {"known", one.trend.has_value()},
                         {"value", one.trend ? json(one.trend->now) : json()},
                         {"per_hour", one.trend ? json(one.trend->per_second * 3600) : json()},
                         {"passes_in_seconds", one.left ? json(one.left->count() / 1'000'000) : json()},
                         {"warnings", one.count.warned_and_came + one.count.warned_in_vain},
                         {"warnings_that_came", one.count.warned_and_came},
                         {"warnings_came_true", one.count.came_true()},
                         {"events", one.count.warned_and_came + one.count.came_unwarned},
                         {"events_foreseen", one.count.foreseen()}});
  }
  json endings = json::array();
  for (const auto& one : foresight_.endings(os::wall_clock().now().seconds()))
    endings.push_back({{"what", one.what}, {"ends_in_seconds", one.left_seconds}, {"late", one.late}});
  out["endings"] = std::move(endings);
  out["forecasts"] = std::move(forecasts);
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

HealthWatch::Eyes HealthWatch::eyes() const {
  std::lock_guard lock(mutex_);
  Eyes eyes;
  eyes.report = board_.report();
  for (const auto& [id, name] : options_.board.regions) {
    if (board_.out(id)) eyes.out[id] = eyes.report.regions[id].why;
  }
  for (const auto& [node, region] : roster_->nodes) eyes.nodes[node] = board_.node(node).points;
  return eyes;
}

void HealthWatch::watch_by(api::Admin& admin) {
  admin_ = &admin;
  const auto gauge = [&](const std::string& of, std::function<health::Score()> score) {
    admin.watch({.name = "evercert_health_score",
                 .help = "Health from 0 to 100, as this node sees it: of the globe, and of each region",
                 .label = "of",
                 .value = of,
                 .read =
                     [this, score = std::move(score)] {
                       std::lock_guard lock(mutex_);
                       return static_cast<std::uint64_t>(score().points);
                     },
                 .gauge = true});
  };
  gauge("globe", [this] { return board_.globe(); });
  for (const auto& [id, name] : options_.board.regions) {
    gauge(name, [this, id] { return board_.region(id); });
  }
  for (const auto& [node, witness] : witnesses_) {
    gauge(witness.name(), [this, id = node] {
      const auto known = witnesses_.find(id);
      return known == witnesses_.end() ? health::Score{} : known->second.score();
    });
  }
}

}  // namespace evercert::node
