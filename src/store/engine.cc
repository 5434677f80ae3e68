// SPDX-License-Identifier: Apache-2.0
#include "store/engine.h"

#include "base/log.h"
#include "store/keys.h"
#include "store/membership_keeper.h"
#include "store/reform.h"
#include "store/snapshots.h"

namespace evercert::store {
namespace {

constexpr std::string_view kMemberKey = "member";  // in the log: this replica remembers everything it ever did

// The voters of the beginning, an encoded GroupConfiguration. The cluster file may name other nodes by now.
constexpr std::string_view kFoundersKey = "founders";

std::string floor_key(GroupId group) { return "floor/" + std::to_string(group.value); }

}  // namespace

Engine::Engine(EngineOptions options, Log& log, Kv& kv, PeerSink& peers, Random& random, WallClock& wall,
               FreshnessBoard& board, std::uint64_t start_id, Instant now)
    : options_(std::move(options)),
      log_(log),
      kv_(kv),
      peers_(peers),
      random_(random),
      wall_(wall),
      board_(board),
      start_id_(start_id),
      submissions_(options_.submit_silence, options_.submit_pause, random.next(), options_.bug),
      coordination_leases_(options_.coordination_bug),
      coordination_compaction_(options_.compaction, options_.coordination_bug),
      recovery_(options_.layout, options_.self,
                !log.meta(std::string(kMemberKey)).has_value() && options_.bug != Bug::kForgetfulMember, options_.bug),
      quorum_(options_.layout.groups(), options_.quorum_lost_after, now),
      membership_(std::make_unique<MembershipKeeper>(options_.layout, kv, options_.self, options_.fence,
                                                     options_.lease.renew, now, options_.bug)),
      snapshot_sender_(std::make_unique<SnapshotSender>(kv, 5s, random.next(), options_.snapshot_chunk_bytes)),
      snapshot_receiver_(std::make_unique<SnapshotReceiver>(kv, options_.bug)),
      founders_(options_.layout.nodes),
      last_read_(random.next()) {}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options, Log& log, Kv& kv, PeerSink& peers, Random& random,
                                             WallClock& wall, FreshnessBoard& board, std::uint64_t start_id,
                                             Instant now) {
  EC_ASSIGN(auto reformation, load_reformation(log));
  if (reformation) {
    use(*reformation, options.layout, options.cluster_id);
  } else if (const auto known = log.meta(std::string(kFoundersKey))) {
    EC_ASSIGN(const auto founders, decode_configuration(*known, options.layout.regions));
    options.layout.nodes = founders.voters();
  } else if (log.meta(std::string(kMemberKey))) {
    log.put_meta(std::string(kFoundersKey), encode(configuration_of(options.layout)));  // durable with the next batch
  }
  std::unique_ptr<Engine> engine(new Engine(std::move(options), log, kv, peers, random, wall, board, start_id, now));
  if (reformation) engine->membership_->set_reformation(std::move(*reformation));
  EC_TRY(engine->open_groups(now));
  return engine;
}

Status Engine::open_groups(Instant now) {
  const bool remembers = log_.meta(std::string(kMemberKey)).has_value();
  committed_.resize(options_.layout.groups());
  just_committed_.resize(options_.layout.groups());
  after_sync_.resize(options_.layout.groups());
  for (std::uint32_t g = 0; g < options_.layout.groups(); ++g) {
    const GroupId id{g};
    if (!remembers && log_.last_index(id) == LogIndex{0}) {
      // The log is gone (or new). A state without the log that it came from proves nothing: it is fetched again too.
      WriteBatch clear;
      clear.remove_range(group_prefix(id), group_prefix(GroupId{g + 1}));
      clear.remove(applied_key(id));
      EC_TRY(kv_.write(clear));
    }
    EC_TRY(snapshot_receiver_->resume(id, log_.snapshot(id).index));
    EC_ASSIGN(const auto applied, read_applied(kv_, id));
    EC_TRY(membership_->load(id));
    GroupOptions group;
    group.id = id;
    group.self = options_.self;
    group.election_ticks = options_.election_ticks;
    group.heartbeat_ticks = options_.heartbeat_ticks;
    group.lease = options_.lease;
    group.bug = options_.bug;
    EC_ASSIGN(auto configuration, load_configuration(id));
    EC_ASSIGN(auto opened,
              Group::open(group, std::move(configuration), log_, board_.tail(id), random_, applied.index, now));
    opened->on_leader_changed = [this](GroupId changed) {
      // Seconds later would do; at once saves a client the silence time-out. The clock is read by the next flush.
      submissions_.leader_changed(changed, Instant{0});
    };
    opened->on_snapshot_wanted = [this, id](NodeId node) -> Result<SnapshotMeta> {
      EC_ASSIGN(const auto position, read_applied(kv_, id));
      return snapshot_sender_->prepare(id, node, position);
    };
    if (const auto floor = log_.meta(floor_key(id))) {
      EC_ASSIGN(const auto position, decode_position(*floor));
      opened->close_gate(position);
    } else if (recovery_.asking()) {
      opened->close_gate({Term{UINT64_MAX}, LogIndex{UINT64_MAX}});
    }
    groups_.push_back(std::move(opened));
  }
  members_moved(*groups_.front());
  return load_coordination_leases(now);
}

// A group's members as its state has them; what an earlier lineage made of them holds no more.
Result<Configuration> Engine::load_configuration(GroupId group) const {
  const std::string lineage = membership_->lineage();
  EC_ASSIGN(const auto stored, kv_.get(state_key(group, configuration_record())));
  if (stored && options_.bug != Bug::kFoundersForEver) {
    EC_ASSIGN(auto configuration, decode_configuration(*stored, options_.layout.regions));
    if (configuration.lineage == lineage) return configuration;
  }
  return configuration_of(Layout{founders_, options_.layout.regions}, lineage);
}

bool Engine::recovering() const {
  if (recovery_.asking()) return true;
  for (const auto& group : groups_) {
    if (!group->gate_open()) return true;
  }
  return false;
}

void Engine::submit(GroupId group, std::string command, Instant deadline, SubmitDone done) {
  if (group.value >= groups_.size()) return done(fail(Code::kInvalid, "no such group"));
  submissions_.add(group, std::move(command), deadline, std::move(done));
}

void Engine::unreachable(NodeId node) {
  for (auto& group : groups_) group->raft().report_unreachable(node);
}

void Engine::on_recovery_ask(NodeId from, const v1::RecoveryAsk& ask) {
  v1::RecoveryTold* told = to(from)->mutable_recovery_told();
  told->set_incarnation(ask.incarnation());
  told->set_recovering(recovering());
  for (const NodeId node : founders_) told->add_founders(node.value);
  for (const auto& group : groups_) {
    const RaftStatus status = group->status();
    const Position last = group->last_position();
    v1::GroupRecovery* facts = told->add_groups();
    facts->set_group(group->id().value);
    facts->set_term(status.term.value);
    facts->mutable_last()->set_term(last.term.value);
    facts->mutable_last()->set_index(last.index.value);
    facts->set_configuration(encode(group->configuration()));
    for (const Configuration& next : group->coming()) facts->add_coming(encode(next));
  }
}

void Engine::on_recovery_told(NodeId from, const v1::RecoveryTold& told, Instant now) {
  if (told.incarnation() != start_id_ || told.groups_size() != static_cast<int>(groups_.size())) return;
  std::vector<Recovery::GroupFacts> facts(groups_.size());
  for (const auto& group : told.groups()) {
    if (group.group() >= facts.size()) return;
    facts[group.group()] = {Term{group.term()}, {Term{group.last().term()}, LogIndex{group.last().index()}}, {}, {}};
    auto configuration = decode_configuration(group.configuration(), options_.layout.regions);
    if (!configuration) continue;
    for (const std::string& bytes : group.coming()) {
      auto next = decode_configuration(bytes, options_.layout.regions);
      if (!next) return;
      facts[group.group()].coming.push_back(std::move(*next));
    }
    // It may be that nobody whom this node knows of is a member any more.
    if (recovery_.asking()) {
      for (const NodeId node : configuration->members()) others_.insert(node);
      others_.erase(options_.self);
    }
    facts[group.group()].configuration = std::move(*configuration);
  }
  std::vector<NodeId> founders;
  for (const auto node : told.founders()) founders.push_back(NodeId{node});
  const auto result = recovery_.told(from, told.recovering(), std::move(facts), std::move(founders));
  if (!result) return;
  founders_ = recovery_.founders();
  log_.put_meta(std::string(kFoundersKey), encode(configuration_of(Layout{founders_, options_.layout.regions})));
  for (auto& group : groups_) {
    const Term term = (*result)[group->id().value].term;
    const Position floor = (*result)[group->id().value].last;
    auto configuration = load_configuration(group->id());
    const Status begun =
        configuration ? group->use(std::move(*configuration), now) : Status{fail(configuration.error())};
    if (!begun) {
      fatal_ = begun;
      return;
    }
    // One term above all that was heard: the present leader still counts on entries that are gone here and would send
    // none of them again. A higher term makes it start over.
    const Term adopted_term{term == Term{0} ? 0 : term.value + 1};
    if (const Status adopted = group->adopt_term(adopted_term, now); !adopted) {
      fatal_ = adopted;
      return;
    }
    committed_[group->id().value].clear();  // the new core hands them out again
    group->close_gate(floor);
    if (floor.index > LogIndex{0} && options_.bug != Bug::kForgetFloor)
      log_.put_meta(floor_key(group->id()), encode_position(floor));
  }
  log_.put_meta(std::string(kMemberKey), "1");
  must_sync_ = true;
  members_moved(*groups_.front());
  // A replica that is alone in its cluster, or all of a new cluster, goes on at the next tick.
}

std::vector<GroupStatus> Engine::status(Instant now) const {
  std::vector<GroupStatus> all;
  for (const auto& group : groups_) {
    const RaftStatus raft = group->status();
    GroupStatus status;
    status.group = group->id();
    status.term = raft.term;
    status.leader = raft.leader;
    status.leads_here = group->leads();
    status.commit = raft.commit;
    status.applied = group->applied_index();
    status.last = raft.last;
    status.leased = board_.leased(group->id(), now);
    if (const auto since = quorum_.lost_since(group->id(), now)) status.quorum_lost_ms = (now - *since).count() / 1000;
    status.promised_regions = group->promised(now);
    status.lag_p50_ms = group->lag().quantile(0.5, now);
    status.lag_p99_ms = group->lag().quantile(0.99, now);
    status.lag_counts = group->lag().since_start();
    all.push_back(status);
  }
  return all;
}

}  // namespace evercert::store
