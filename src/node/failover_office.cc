// SPDX-License-Identifier: Apache-2.0
#include "node/failover_office.h"

#include "api/rest/json_body.h"
#include "base/log.h"
#include "base/os/processors.h"
#include "base/pause.h"
#include "recovery/failover/json_fields.h"
#include "recovery/failover/observation.h"
#include "recovery/failover/policy.h"
#include "recovery/failover/record.h"
#include "store/keys.h"
#include "store/membership.h"

namespace evercert::node {
namespace {

constexpr Duration kLook = 1s, kLookTimeout = 900ms, kFreshTimeout = 1s, kRenew = 3s, kAgain = 1s, kCapacity = 10s,
                   kForget = 5s, kLookAtKey = 600s, kTrimLog = 10s, kSubmit = 6s;
constexpr std::int64_t kOldest = 16;
constexpr std::size_t kLongestLock = 256;
// Every node that waits for the lock renews a lease: an entry of the global group's log each time. Nobody waits for it
// to lapse but the next controller, and only when a node is lost and its region is not (FailoverSuccession).
constexpr std::int64_t kLeaseSeconds = 9;
// What the clocks may differ in speed, and a renewal's way.
constexpr Duration kTrusted = 7s;

recovery::Standing standing_of(store::v1::RegionState state) {
  switch (state) {
    case store::v1::SERVING: return recovery::Standing::kServing;
    case store::v1::DRAINING: return recovery::Standing::kDraining;
    case store::v1::FENCED: return recovery::Standing::kFenced;
    default: return recovery::Standing::kOther;
  }
}

recovery::Member member_of(const store::MembershipView& view, RegionId region) {
  const auto known = store::member_of(view.record, region);
  recovery::Member member;
  const bool by_itself = known.attested() && known.state() == store::v1::FENCED;
  member.by = by_itself                    ? std::string(store::kAttested)
              : known.ordered_token() != 0 ? std::string(recovery::kController)
                                           : known.ordered_by();
  member.standing = standing_of(known.state());
  if (known.ordered_epoch() != 0 && known.ordered_token() == 0)
    member.word = {known.ordered_epoch(), by_itself ? standing_of(known.before()) : member.standing,
                   known.ordered_by()};
  member.carried_out = known.fence_epoch() == 0 ||
                       (region.value < view.carried_out.size() && view.carried_out[region.value] == view.regions);
  return member;
}

recovery::Cluster cluster_of(const Roster& roster) { return {roster.regions, roster.nodes}; }

}  // namespace

FailoverOffice::FailoverOffice(FailoverOptions options, RosterWatch& roster, store::Runtime& store,
                               api::Coordinator& coordinator, api::Locks& locks, recovery::Meter& meter,
                               net::HttpClient& client, std::function<void(recovery::Observation&)> eyes)
    : options_(std::move(options)),
      roster_(roster),
      store_(store),
      coordinator_(coordinator),
      locks_(locks),
      meter_(meter),
      client_(client),
      eyes_(std::move(eyes)),
      space_(coordinator),
      succession_(options_.self, roster, store, coordinator, space_),
      effects_(options_.issuer_ders, store, client),
      edges_(options_.edges, client),
      planner_(roster_.now()->nodes, {.witness_regions = options_.witness_regions}),
      signer_(options_.certificate_file, options_.key_file),
      spare_(options_.spare),
      scaler_(spare_) {}

void FailoverOffice::start() {
  executor_ = os::ThreadExecutor::start("failover");
  executor_->post([this] {
    measure();
    tasks_.spawn(run());
    tasks_.spawn(succession_.run(*executor_));
    tasks_.spawn(watch_capacity());
    if (!options_.spare.nodes.empty()) tasks_.spawn(tend_spare_nodes());
  });
}

void FailoverOffice::stop() {
  if (executor_) executor_->stop();
  tasks_.cancel();
  edges_.stop();
}

void FailoverOffice::measure() {
  const Instant now = os::monotonic_clock().now();
  meter_.processor(os::processor_time(), now);
  std::vector<std::string> trouble;
  {
    std::lock_guard lock(mutex_);
    trouble = scaler_.review(now);
  }
  for (const auto& what : trouble) log_warning("capacity: " + what);
  executor_->post_after(1s, [this] { measure(); });
}

// Every node for itself, whoever leads: what is seen must outlive a controller.
Task<void> FailoverOffice::watch_capacity() {
  for (;;) {
    auto waiting = pause(*executor_, kCapacity);
    co_await waiting;
    auto measuring = edges_.look(*executor_);
    co_await measuring;
    Seen seen;
    auto looking = look(*executor_, seen);
    co_await looking;
    std::vector<recovery::NodeLoad> loads;
    for (const auto& [node, one] : seen) {
      const auto& load = one.what.load;
      loads.push_back({node, load.rate, load.busy, load.cores, load.edge_busy, load.edge_cores, load.signs,
                       load.most_signs, load.edges, load.edges_answering});
    }
    std::lock_guard lock(mutex_);
    planner_.set_nodes(roster_.now()->nodes);
    planner_.measured(loads, os::monotonic_clock().now());
  }
}

Task<void> FailoverOffice::tend_spare_nodes() {
  for (;;) {
    for (const SpareNode& node : options_.spare.nodes) {
      auto tending = tend(node);
      co_await tending;
    }
    auto waiting = pause(*executor_, 1s);
    co_await waiting;
  }
}

Task<void> FailoverOffice::tend(const SpareNode& node) {
  recovery::SpareNodeStanding standing;
  // Under the lock of whoever wanted it: the store refuses what comes of the word of one who was replaced, until the
  // next one has affirmed it. What an earlier life of this process left behind is nobody's word, and is taken out.
  Warrant by;
  {
    std::lock_guard guard(mutex_);
    standing = spare_.standing(node.id);
    if (!wanted_lock_.empty()) by = {wanted_lock_, scaler_.token()};
  }
  // Without a fresh record nothing is known, and nothing could be changed.
  auto freshening = store_.freshen(*executor_, kGlobalGroup, store::membership_record(), kFreshTimeout);
  if (co_await freshening != store::Freshness::kFresh) co_return;
  const auto view = store_.membership();
  standing.settled = store::members_settled(*view).has_value();
  standing.named = std::ranges::count(store::wanted_voters(view->record), node.id) > 0;
  standing.member =
      std::ranges::any_of(view->groups, [&](const store::Configuration& group) { return group.contains(node.id); });
  if (standing.wanted && standing.runs && !standing.named) {
    net::HttpCall call;
    call.target = {node.address, node.status_port, false, node.address};
    call.path = "/v1/status";
    call.connect_timeout = call.timeout = kLookTimeout;
    auto asking = client_.fetch(*executor_, std::move(call));
    const auto answer = co_await asking;
    standing.answers = answer && answer->status == 200;
  }
  const auto step = recovery::next_step(standing);
  if (step == recovery::SpareNodeStep::kNone) co_return;
  const std::string name = "node " + std::to_string(node.zone);
  if (step == recovery::SpareNodeStep::kEnd) {
    std::lock_guard guard(mutex_);
    spare_.end(node.id);
    co_return;
  }
  const bool with = step == recovery::SpareNodeStep::kAdd;
  auto submitting = store_.submit(*executor_, kGlobalGroup, with_member(*view, node, with, options_.name, by), kSubmit);
  const auto done = co_await submitting;
  // What has changed in between is looked at anew, in a second.
  if (!done) log_warning("capacity: " + name + (with ? " is not added: " : " is not removed: ") + done.error().message);
  else
    log_warning("capacity: " + name + (with ? " is to vote, epoch " : " is to vote no more, epoch ") +
                std::to_string(done->number()));
}

recovery::CapacityReport FailoverOffice::capacity() const {
  std::lock_guard lock(mutex_);
  return planner_.report(os::monotonic_clock().now());
}

recovery::Observation FailoverOffice::observe() {
  const Instant now = os::monotonic_clock().now();
  recovery::Observation o;
  o.node = options_.self;
  const auto load = meter_.load(now);
  o.load.in_flight = load.in_flight;
  o.load.rate = load.rate;
  o.load.errors = load.errors;
  o.load.p99 = load.p99;
  o.load.busy = load.busy;
  o.load.cores = os::processors();
  eyes_(o);
  const auto roster = roster_.now();
  for (const auto& [node, at] : store_.last_heard()) {
    if (roster->nodes.contains(node)) o.silent[node] = std::max<Duration>(0us, now - at);
  }
  for (const auto& group : store_.group_status()) {
    const auto leaderless = group.leader == NodeId{} ? group.quorum_lost_ms.value_or(0) : 0;
    o.groups.push_back({group.group, group.leader, std::chrono::milliseconds(leaderless),
                        std::chrono::milliseconds(std::max<std::int64_t>(0, group.lag_p99_ms))});
  }
  std::lock_guard lock(mutex_);
  o.extra = scaler_.running();
  o.spare = scaler_.spare(now);
  o.wanted = scaler_.wanted();
  o.wanted_token = scaler_.token();
  const auto edges = edges_.seen();
  o.load.edge_busy = edges.busy;
  o.load.edge_cores = edges.cores;
  o.load.edges = edges.edges;
  o.load.edges_answering = edges.answering;
  return o;
}

api::FailoverSeat FailoverOffice::seat() const {
  std::lock_guard lock(mutex_);
  return seat_;
}

// What a person should know, once.
void FailoverOffice::tell(std::string what) {
  {
    std::lock_guard lock(mutex_);
    seat_.refusal = what;
  }
  if (std::exchange(told_, what) == what || what.empty()) return;
  log_warning("failover: nothing is decided: " + what);
}

// Again and again: to be elected, and then to serve for as long as the lock is held.
Task<void> FailoverOffice::run() {
  for (;;) {
    if (succession_.may_contend()) {
      auto contending = contend();
      co_await contending;
    }
    {
      std::lock_guard lock(mutex_);
      seat_.leads = false;
    }
    auto waiting = pause(*executor_, kAgain);
    co_await waiting;
  }
}

Task<void> FailoverOffice::contend() {
  etcdserverpb::LeaseGrantRequest wanted;
  wanted.set_ttl(kLeaseSeconds);
  auto term = std::make_shared<Term>();
  const Instant asked = os::monotonic_clock().now();
  auto granting = coordinator_.grant(*executor_, std::move(wanted));
  const auto granted = co_await granting;
  if (!granted) co_return;
  term->lease = granted->id();
  term->until = asked + kTrusted;
  auto cancellation = std::make_shared<api::Cancellation>();
  tasks_.spawn(keep(term, cancellation));
  auto acquiring =
      locks_.acquire(*executor_, std::string(recovery::kLeaderName), term->lease, options_.name, cancellation);
  const auto held = co_await acquiring;
  if (held && !term->over) {
    term->token = held->token;
    auto serving = serve(term);
    co_await serving;
  }
  term->over = true;
  etcdserverpb::LeaseRevokeRequest gone;
  gone.set_id(term->lease);
  auto revoking = coordinator_.revoke(*executor_, std::move(gone));
  co_await revoking;
}

// Renews the lease until the term is over; ends the term when it could not be renewed in time by this clock.
Task<void> FailoverOffice::keep(std::shared_ptr<Term> term, std::shared_ptr<api::Cancellation> cancellation) {
  while (!term->over) {
    auto waiting = pause(*executor_, kRenew);
    co_await waiting;
    if (term->over) co_return;
    const Instant asked = os::monotonic_clock().now();
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(term->lease);
    auto renewing = coordinator_.renew(*executor_, std::move(request));
    const auto renewed = co_await renewing;
    const bool lives = renewed && renewed->ttl() > 0;
    if (lives) term->until = asked + kTrusted;
    if (os::monotonic_clock().now() > term->until || (renewed && !lives)) break;
  }
  if (!term->over) cancellation->cancel();
  term->over = true;
}

Task<Result<recovery::Session>> FailoverOffice::begin(std::int64_t token) {
  recovery::Inheritance heritage;
  auto reading = space_.get(*executor_, std::string(recovery::kStateKey), true);
  auto state = co_await reading;
  if (!state) co_return fail(state.error());
  if (*state) {
    heritage.state = std::move((*state)->value);
    heritage.state_revision = (*state)->revision;
  }
  auto reading_shares = space_.get(*executor_, std::string(traffic::kSharesKey), true);
  auto shares = co_await reading_shares;
  if (!shares) co_return fail(shares.error());
  if (*shares) {
    auto parsed = traffic::parse_shares((*shares)->value);
    if (!parsed) co_return fail(parsed.error(), std::string(traffic::kSharesKey));
    heritage.shares = std::move(*parsed);
    heritage.shares_revision = heritage.shares.revision = (*shares)->revision;
  }
  auto reading_policy = read_policy();
  auto policy = co_await reading_policy;
  if (const Status loaded = signer_.load(); !loaded) co_return fail(loaded.error());
  co_return recovery::Session::begin(cluster_of(*term_roster_), std::move(policy), std::move(heritage), options_.name,
                                     token, {os::monotonic_clock().now(), os::wall_clock().now()},
                                     [this](const std::string& text) { return signer_.sign(text); });
}

// Now and then, so that what is to be removed is known.
Task<std::vector<recovery::LogEntry>> FailoverOffice::oldest_of_log() {
  std::vector<recovery::LogEntry> oldest;
  const Instant now = os::monotonic_clock().now();
  if (now < oldest_due_) co_return oldest;
  oldest_due_ = now + kTrimLog;
  auto reading = space_.list(*executor_, std::string(recovery::kLogPrefix), false, kOldest);
  const auto stored = co_await reading;
  if (!stored) co_return oldest;
  for (const auto& [key, entry] : *stored) {
    auto parsed = recovery::parse_entry(entry.value);
    if (!parsed) break;  // what is not understood stays, for a person
    oldest.push_back(std::move(*parsed));
  }
  co_return oldest;
}

Task<void> FailoverOffice::serve(std::shared_ptr<Term> term) {
  {
    std::lock_guard lock(mutex_);
    seat_ = {true, term->token, "", os::wall_clock().now().ms};
    times_taken_.begin();
  }
  log_info("failover: this node is the controller, token " + std::to_string(term->token));
  shown_signer_.clear();
  term_roster_ = roster_.now();
  auto beginning = begin(term->token);
  auto session = co_await beginning;
  results_.clear();
  if (!session) {
    tell("it cannot begin: " + session.error().message);
  } else {
    Seen seen;
    for (bool goes_on = true; goes_on;) {
      auto taking_turn = turn(term, *session, seen);
      goes_on = co_await taking_turn;
      auto waiting = pause(*executor_, kLook);
      if (goes_on) co_await waiting;
    }
  }
  log_info("failover: this node is the controller no more");
}

// False: the time in office is over.
Task<bool> FailoverOffice::turn(const std::shared_ptr<Term>& term, recovery::Session& session, Seen& seen) {
  auto looking = look(*executor_, seen);
  auto picture = co_await looking;
  auto reading = read_orders();
  const auto orders = co_await reading;
  auto reading_policy = read_policy();
  session.set_policy(co_await reading_policy);
  const auto in_time = [&] { return !term->over && os::monotonic_clock().now() < term->until; };
  auto reading_log = oldest_of_log();
  picture.oldest = co_await reading_log;
  if (os::monotonic_clock().now() >= signer_due_) {
    // The certificate may have been renewed meanwhile.
    signer_due_ = os::monotonic_clock().now() + kLookAtKey;
    if (const Status loaded = signer_.load(); !loaded) log_warning("failover: " + loaded.error().message);
  }
  if (!in_time()) co_return false;
  for (auto& [effect, how] : std::exchange(results_, {}))
    session.ended(effect, std::move(how), os::monotonic_clock().now());
  auto write = session.look(std::move(picture), orders, os::monotonic_clock().now());
  tell(session.controller().refusal());
  if (write) {
    std::vector<std::string> lines;
    for (const auto& [key, value] : write->puts) {
      if (!key.starts_with(recovery::kLogPrefix)) continue;
      if (const auto entry = recovery::parse_entry(value))
        lines.push_back(entry->incident + " " + entry->text +
                        (entry->evidence.empty() ? "" : " (" + entry->evidence + ")"));
    }
    const bool shown = std::exchange(shown_signer_, signer_.fingerprint()) == signer_.fingerprint();
    if (!shown) write->puts.emplace_back(std::string(recovery::kSignersPrefix) + shown_signer_, signer_.chain());
    auto writing = space_.write(*executor_, api::contender_key(std::string(recovery::kLeaderName), term->lease),
                                std::move(*write));
    const auto written = co_await writing;
    session.written(written, os::monotonic_clock().now());
    if (session.over()) {
      log_info("failover: " + written.error().message);
      co_return false;
    }
    for (const auto& line : lines) log_info("failover: " + line);
  }
  {
    std::lock_guard lock(mutex_);
    times_taken_.look(session.controller().state().incidents);
  }
  stand_by_workers(term, seen);
  if (auto effect = session.take_effect(); effect && in_time()) carry_out(term, std::move(*effect), seen);
  if (term->over) co_return false;
  if (roster_.now() == term_roster_) co_return true;
  log_info("failover: the cluster's nodes are others now: a controller begins anew with them");
  co_return false;
}

// What the controller before this one had nodes start, they go on with by this one's word.
void FailoverOffice::stand_by_workers(const std::shared_ptr<Term>& term, const Seen& seen) {
  std::vector<NodeId> nodes;
  for (const auto& [node, one] : seen) {
    const bool by_another = one.what.wanted_token != 0 && one.what.wanted_token < term->token;
    if (by_another && (one.what.wanted > 0 || one.what.extra > 0)) nodes.push_back(node);
  }
  if (nodes.empty() || affirming_) return;
  affirming_ = true;
  tasks_.spawn(
      effects_.affirm(*executor_, std::move(nodes), api::contender_key(std::string(recovery::kLeaderName), term->lease),
                      term->token, term_roster_),
      [this] { affirming_ = false; });
}

void FailoverOffice::carry_out(const std::shared_ptr<Term>& term, recovery::Effect effect, const Seen& seen) {
  std::map<NodeId, int> workers;
  for (const auto& [node, one] : seen) workers[node] = one.what.extra + one.what.spare;
  std::string lock = api::contender_key(std::string(recovery::kLeaderName), term->lease);
  tasks_.spawn(effects_.carry_out(*executor_, effect, std::move(lock), term_roster_, std::move(workers)),
               [this, term, effect](Result<std::string> how) {
                 if (!term->over) results_.emplace_back(effect, std::move(how));
               });
}

Task<recovery::Policy> FailoverOffice::read_policy() {
  auto reading = space_.get(*executor_, std::string(recovery::kPolicyKey), false);
  const auto stored = co_await reading;
  if (!stored || !*stored) co_return recovery::Policy{};
  auto policy = recovery::parse_policy((*stored)->value);
  if (policy) co_return std::move(*policy);
  // Whoever wrote it wanted something else than what is the rule without it: nothing is done without a person.
  if (std::exchange(policy_told_, policy.error().message) != policy.error().message)
    log_warning("failover: " + policy.error().message + ": every plan asks for approval until it is mended");
  recovery::Policy careful;
  for (auto& [kind, mode] : careful.modes) mode = recovery::Mode::kApproval;
  co_return careful;
}

Task<std::vector<recovery::Order>> FailoverOffice::read_orders() {
  auto reading = space_.list(*executor_, std::string(recovery::kOrdersPrefix), false);
  const auto stored = co_await reading;
  std::vector<recovery::Order> orders;
  if (!stored) co_return orders;
  for (const auto& [key, entry] : *stored) {
    auto order = recovery::parse_order(entry.value);
    // What is not understood is refused as an old order is, and goes.
    if (!order) order = recovery::Order{};
    order->key = key;
    orders.push_back(std::move(*order));
    if (orders.size() == 32) break;
  }
  co_return orders;
}

Task<std::pair<NodeId, Result<recovery::Observation>>> FailoverOffice::ask(Executor& on, NodeId node,
                                                                           std::shared_ptr<const Roster> roster) {
  if (node == options_.self) co_return std::pair(node, Result<recovery::Observation>(observe()));
  net::HttpCall call;
  call.target = roster->peers.at(node);
  call.path = "/v1/failover/node";
  call.connect_timeout = call.timeout = kLookTimeout;
  call.max_response_bytes = recovery::kLargestObservation;
  auto fetching = client_.fetch(on, std::move(call));
  const auto answer = co_await fetching;
  Result<recovery::Observation> seen = fail(Code::kUnavailable, "no answer");
  if (answer && answer->status == 200) seen = recovery::parse_observation(answer->body);
  if (seen && seen->node != node) seen = fail(Code::kInvalid, "another node has answered");
  co_return std::pair(node, std::move(seen));
}

// All nodes are asked at once.
Task<recovery::Picture> FailoverOffice::look(Executor& on, Seen& seen) {
  recovery::Picture picture;
  using Answer = std::pair<NodeId, Result<recovery::Observation>>;
  std::vector<Started<Answer>> answers;
  const auto roster = roster_.now();
  answers.reserve(roster->nodes.size());
  for (const auto& [node, region] : roster->nodes) answers.emplace_back(tasks_, ask(on, node, roster));
  const Instant asked = os::monotonic_clock().now();
  auto freshening = store_.freshen(on, kGlobalGroup, store::membership_record(), kFreshTimeout);
  if (co_await freshening == store::Freshness::kFresh) picture.members_at = asked;
  const auto view = store_.membership();
  picture.epoch = view->record.epoch();
  for (const auto& [region, name] : roster->regions) picture.members[region] = member_of(*view, region);
  for (auto& answer : answers) {
    Answer one = co_await answer;
    if (one.second) seen[one.first] = {std::move(*one.second), asked};
  }
  for (const auto& [node, one] : seen) {
    if (asked - one.at > kForget) continue;
    picture.extra_workers += one.what.extra;
    picture.can_add = picture.can_add || one.what.spare > 0;
  }
  std::erase_if(seen, [&](const auto& one) { return !roster->nodes.contains(one.first); });
  picture.seen = seen;
  co_return picture;
}

void FailoverOffice::watch_by(api::Admin& admin) {
  using Part = recovery::TimesTaken::Part;
  const std::pair<const char*, Part> parts[] = {
      {"detection", Part::kDetection}, {"relief", Part::kRelief}, {"recovery", Part::kRecovery}};
  const auto watch = [&](const char* name, const char* help, auto value) {
    for (const auto& [label, part] : parts) {
      admin.watch({name, help, "part", label, [this, part = part, value]() -> std::uint64_t {
                     std::lock_guard lock(mutex_);
                     return value(times_taken_.sum(part));
                   }});
    }
  };
  watch("evercert_failover_incidents_total",
        "Incidents that this node, as the controller, saw detected, relieved of their traffic, and over",
        [](const recovery::TimesTaken::Sum& sum) { return sum.count; });
  watch("evercert_failover_incident_milliseconds_total",
        "How long they took since they had begun, by the evidence: divided by the number, the mean time to it",
        [](const recovery::TimesTaken::Sum& sum) { return static_cast<std::uint64_t>(sum.took.count() / 1000); });
}

void FailoverOffice::mount(api::Router& router) {
  router.add("POST", "/v1/capacity/workers",
             [this](net::HttpRequest request, auto) -> Task<net::HttpResponse> { co_return set_workers(request); });
}

net::HttpResponse FailoverOffice::set_workers(const net::HttpRequest& request) {
  // Of the TLS connection itself: what an edge says of its client does not count here.
  if (!request.client_identity.starts_with("evercert://" + options_.cluster_name + "/node/"))
    return net::problem(403, "Forbidden", "workers are started by the controller, which is a node of this cluster");
  const auto body = api::read_object(request);
  if (!body) return net::problem(body.error());
  recovery::Fields fields(*body, "the body");
  const auto workers = fields.whole("workers", -1, 0, 10'000), token = fields.whole("token", 0, 1, INT64_MAX);
  const bool affirms = fields.flag("affirm", false);
  auto lock = fields.text("lock", kLongestLock);
  if ((workers < 0 && !affirms) || token < 1) fields.wrong("it needs 'token', and 'workers' or 'affirm'");
  // Without it the store could not refuse what follows from the word of one that was replaced.
  if (lock.empty()) fields.wrong("it needs 'lock', of which 'token' is");
  if (const Status fits = fields.status(); !fits) return net::problem(fits.error());
  std::lock_guard guard(mutex_);
  const auto will =
      affirms ? scaler_.affirm(token) : scaler_.want(static_cast<int>(workers), token, os::monotonic_clock().now());
  if (!will) return net::problem(will.error());
  wanted_lock_ = std::move(lock);
  log_warning("capacity: " + std::to_string(*will) +
              " spare edges and nodes are to run, by the controller with token " + std::to_string(token));
  return net::json_response(200, "{\"workers\":" + std::to_string(*will) + "}");
}

Task<Result<recovery::Rehearsal>> FailoverOffice::rehearse(Executor& on, RegionId region) {
  Seen seen;
  auto looking = look(on, seen);
  auto picture = co_await looking;
  FailoverSpace space(coordinator_);
  auto reading = space.get(on, std::string(traffic::kSharesKey), false);
  const auto stored = co_await reading;
  if (stored && *stored) picture.shares = traffic::parse_shares((*stored)->value).value_or(traffic::Shares{});
  auto reading_policy = space.get(on, std::string(recovery::kPolicyKey), false);
  const auto said = co_await reading_policy;
  recovery::Policy policy;
  if (said && *said) policy = recovery::parse_policy((*said)->value).value_or(recovery::Policy{});
  co_return recovery::rehearse(cluster_of(*roster_.now()), policy, picture, region, os::monotonic_clock().now());
}

}  // namespace evercert::node
