// SPDX-License-Identifier: Apache-2.0
#include "store/engine.h"

#include "base/log.h"
#include "base/probe.h"
#include "store/keys.h"
#include "store/membership_keeper.h"
#include "store/reform.h"
#include "store/snapshots.h"

namespace evercert::store {
namespace {

constexpr std::string_view kMemberKey = "member";  // in the log: this replica remembers everything it ever did

// The voters and regions of the beginning, an encoded GroupConfiguration. The cluster file may name others by now.
constexpr std::string_view kFoundersKey = "founders";

std::string floor_key(GroupId group) { return "floor/" + std::to_string(group.value); }

std::string encode_founders(const Layout& layout) {
  v1::GroupConfiguration record;
  for (const NodeId node : layout.nodes) record.add_voters(node.value);
  record.set_regions(layout.regions);
  record.set_witnesses(layout.witnesses);
  return record.SerializeAsString();
}

Result<Layout> decode_founders(const std::string& bytes) {
  v1::GroupConfiguration record;
  if (!record.ParseFromString(bytes) || record.voters().empty() || record.regions() > kMostRegions)
    return fail(Code::kCorrupt, "the log's word on who founded the cluster does not parse");
  Layout layout;
  for (const auto node : record.voters()) layout.nodes.push_back(NodeId{node});
  // Of an earlier version, under which no region could be added: each had a voter.
  layout.regions =
      record.regions() != 0 ? static_cast<std::uint8_t>(record.regions()) : region_of(layout.nodes.back()).value;
  layout.witnesses = record.witnesses();
  return layout;
}

}  // namespace

Engine::Engine(EngineOptions options, Log& log, Kv& kv, PeerSink& peers, Random& random, WallClock& wall,
               FreshnessBoard& board, std::uint64_t start_id, Instant now)
    : options_(std::move(options)),
      log_(log),
      kv_(kv, options_.bug == Bug::kKeepRecent),
      peers_(peers),
      random_(random),
      wall_(wall),
      board_(board),
      start_id_(start_id),
      submissions_(options_.submit_silence, options_.submit_pause, random.next(), options_.bug),
      coordination_leases_(options_.coordination_bug),
      coordination_compaction_(options_.compaction, options_.coordination_bug),
      recovery_(options_.layout, options_.self,
                !log.meta(std::string(kMemberKey)).has_value() && options_.bug != Bug::kForgetfulMember, options_.bug,
                options_.may_found),
      quorum_(kMostRegions + 1u, options_.quorum_lost_after, now),
      audit_(options_.self, 4 * options_.fence.readmit, options_.bug),
      membership_(std::make_unique<MembershipKeeper>(options_.layout, kv_, options_.self, options_.fence,
                                                     options_.lease.renew, now, options_.bug)),
      snapshot_sender_(std::make_unique<SnapshotSender>(kv_, 5s, random.next(), options_.snapshot_chunk_bytes)),
      snapshot_receiver_(std::make_unique<SnapshotReceiver>(kv_, options_.bug)),
      founders_(options_.layout.nodes),
      founding_{options_.layout.regions, options_.layout.witnesses},
      last_read_(random.next()),
      witness_logs_(kMostRegions + 1u) {}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options, Log& log, Kv& kv, PeerSink& peers, Random& random,
                                             WallClock& wall, FreshnessBoard& board, std::uint64_t start_id,
                                             Instant now) {
  if (const auto diverged = log.meta(std::string(kDivergedKey)))
    return fail(Code::kCorrupt, *diverged + std::string(kReplaceState));
  EC_ASSIGN(auto reformation, load_reformation(log));
  const RegionRoll named{options.layout.regions, options.layout.witnesses};
  if (const auto known = log.meta(std::string(kFoundersKey))) {
    EC_ASSIGN(auto founders, decode_founders(*known));
    EC_TRY(same_witnesses(founders.witnesses, first_regions(named.witnesses, founders.regions)));
    options.layout = std::move(founders);
  } else if (!reformation && log.meta(std::string(kMemberKey))) {
    log.put_meta(std::string(kFoundersKey), encode_founders(options.layout));  // durable with the next batch
  }
  if (reformation) use(*reformation, options.layout, options.cluster_id);
  std::unique_ptr<Engine> engine(new Engine(std::move(options), log, kv, peers, random, wall, board, start_id, now));
  engine->named_ = named;
  if (reformation) engine->membership_->set_reformation(std::move(*reformation));
  EC_TRY(engine->open_groups(now));
  return engine;
}

Status Engine::open_groups(Instant now) {
  if (!log_.meta(std::string(kMemberKey))) {
    for (std::uint32_t g = 0; g <= kMostRegions; ++g) {
      if (log_.last_index(GroupId{g}) != LogIndex{0}) continue;
      // The log is gone (or new). A state without the log that it came from proves nothing: it is fetched again too.
      WriteBatch clear;
      clear.remove_range(group_prefix(GroupId{g}), group_prefix(GroupId{g + 1}));
      clear.remove(applied_key(GroupId{g}));
      EC_TRY(kv_.write(clear));
    }
  }
  EC_TRY(membership_->load(kGlobalGroup));
  options_.layout.regions = region_count(membership_->record(), founding_.count);
  if (options_.bug == Bug::kBegunByFile) options_.layout.regions = std::max(options_.layout.regions, named_.count);
  EC_TRY(learn_witnesses());
  for (std::uint32_t g = 0; g < options_.layout.groups(); ++g) EC_TRY(open_group(GroupId{g}, now));
  members_moved(*groups_.front());
  return load_coordination_leases(now);
}

Status Engine::open_group(GroupId id, Instant now) {
  EC_TRY(snapshot_receiver_->resume(id, log_.snapshot(id).index));
  EC_ASSIGN(const auto applied, read_applied(kv_, id));
  EC_TRY(load_digest(id, applied.index));
  EC_TRY(membership_->load(id));
  GroupOptions group;
  group.id = id;
  group.self = options_.self;
  group.election_ticks = options_.election_ticks;
  group.heartbeat_ticks = options_.heartbeat_ticks;
  group.lease = options_.lease;
  group.bug = options_.bug;
  group.home = options_.layout.home(id);
  group.witnesses = options_.layout.witnesses;
  group.stands_last = options_.doubted;
  group.whole_log_most = options_.whole_log_most;
  EC_ASSIGN(auto configuration, load_configuration(id));
  EC_ASSIGN(auto opened,
            Group::open(group, std::move(configuration), log_, board_.tail(id), random_, applied.index, now));
  opened->on_leader_changed = [this](GroupId changed) {
    // Seconds later would do; at once saves a client the silence time-out. The clock is read by the next flush.
    submissions_.leader_changed(changed, Instant{0});
  };
  opened->on_snapshot_wanted = [this, id](NodeId node) { return snapshot_for(id, node); };
  if (const auto floor = log_.meta(floor_key(id))) {
    EC_ASSIGN(const auto position, decode_position(*floor));
    opened->close_gate(position);
  } else if (recovery_.asking()) {
    opened->close_gate({Term{UINT64_MAX}, LogIndex{UINT64_MAX}});
  }
  groups_.push_back(std::move(opened));
  committed_.resize(groups_.size());
  just_committed_.resize(groups_.size());
  after_sync_.resize(groups_.size());
  return {};
}

// Those of the beginning, those that the record says were added as such, and this one by its file: a replica that keeps
// no records must know it before it hears of its region. Of it the file and the record must say the same; a replica
// that took itself for a witness by mistake has acknowledged nothing that its log does not hold.
Status Engine::learn_witnesses() {
  const RegionId own = region_of(options_.self);
  const RegionSet added = witnesses_of(membership_->record());
  if (own.value > founding_.count && own.value <= region_count(membership_->record(), founding_.count))
    EC_TRY(same_witnesses(added & region_bit(own), named_.witnesses & region_bit(own)));
  options_.layout.witnesses = founding_.witnesses | added;
  if (own.value > founding_.count) options_.layout.witnesses |= named_.witnesses & region_bit(own);
  for (auto& group : groups_) group->set_witnesses(options_.layout.witnesses);
  return {};
}

// Of regions that the record names by now. This replica remembers all that it ever did (or has its gate closed), so a
// log of such a group that is empty says that it never did anything there.
Status Engine::begin_groups(Instant now) {
  const std::uint8_t regions = region_count(membership_->record(), founding_.count);
  if (groups_.size() > regions) return {};
  options_.layout.regions = regions;
  EC_TRY(learn_witnesses());
  while (groups_.size() <= regions) {
    const GroupId id{static_cast<std::uint32_t>(groups_.size())};
    EC_PROBE("the home group of an added region begins");
    log_info("store: region " + std::to_string(id.value) + " is one of the cluster's, and its home group begins");
    EC_TRY(open_group(id, now));
    quorum_.saw(id, true, now);
    // One of them is to ask first. The core's pre-vote keeps it from disturbing a leader that there is.
    if (groups_.front()->leads()) groups_.back()->campaign_now();
  }
  members_moved(*groups_.front());
  return {};
}

// A group's members as its state has them; what an earlier lineage made of them holds no more.
Result<Configuration> Engine::load_configuration(GroupId group) const {
  const std::string lineage = membership_->lineage();
  EC_ASSIGN(const auto stored, kv_.get(state_key(group, configuration_record())));
  if (stored && options_.bug != Bug::kFoundersForEver) {
    EC_ASSIGN(auto configuration, decode_configuration(*stored, options_.layout.regions));
    if (configuration.lineage == lineage) return configuration;
  }
  const v1::Founding* founding = founding_of(membership_->record(), RegionId{static_cast<std::uint8_t>(group.value)});
  if (options_.bug == Bug::kBegunByFile && group.value > founding_.count)
    return configuration_of(groups_.front()->configuration().halves.front());
  if (founding != nullptr && founding->lineage() == lineage) {
    Layout voters{{}, options_.layout.regions};
    for (const auto voter : founding->voters()) voters.nodes.push_back(NodeId{voter});
    return configuration_of(voters, lineage);
  }
  return configuration_of(Layout{founders_, options_.layout.regions}, lineage);
}

bool Engine::recovering() const {
  if (recovery_.asking()) return true;
  for (const auto& group : groups_) {
    if (!group->gate_open()) return true;
  }
  for (std::uint32_t g = static_cast<std::uint32_t>(groups_.size()); g <= kMostRegions; ++g) {
    if (log_.meta(floor_key(GroupId{g}))) return true;
  }
  return false;
}

// Groups that entries in the log of the global group would begin, which are not applied here, each with the voters that
// it would have by one entry or another.
std::map<GroupId, std::vector<Configuration>> Engine::foundings_under_way() const {
  std::map<GroupId, std::vector<Configuration>> found;
  const LogIndex from{groups_.front()->applied_index().value + 1}, to{log_.last_index(kGlobalGroup).value + 1};
  const auto entries = log_.entries(kGlobalGroup, from, to, UINT64_MAX);
  if (!entries) return found;
  for (const LogEntry& entry : *entries) {
    v1::Command command;
    if (entry.type != EntryType::kNormal || !command.ParseFromString(entry.data) || !command.has_found_region())
      continue;
    const GroupId id{command.found_region().region()};
    if (has(id) || id.value > kMostRegions) continue;
    Layout voters{{}, options_.layout.regions};
    for (const auto voter : command.found_region().voters()) voters.nodes.push_back(NodeId{voter});
    if (command.found_region().lineage() != membership_->lineage()) voters.nodes = founders_;
    if (!voters.nodes.empty()) found[id].push_back(configuration_of(voters, membership_->lineage()));
  }
  return found;
}

void Engine::submit(GroupId group, std::string command, Instant deadline, SubmitDone done) {
  // One that has not begun here may do so in time.
  if (group.value > kMostRegions) return done(fail(Code::kInvalid, "no such group"));
  submissions_.add(group, std::move(command), deadline, std::move(done));
}

void Engine::unreachable(NodeId node) {
  for (auto& group : groups_) group->raft().report_unreachable(node);
}

void Engine::on_recovery_ask(NodeId from, const v1::RecoveryAsk& ask) {
  v1::RecoveryTold* told = to(from)->mutable_recovery_told();
  told->set_incarnation(ask.incarnation());
  told->set_recovering(recovery_.asking());
  told->set_may_found(options_.may_found && recovery_.asking());
  for (const NodeId node : founders_) told->add_founders(node.value);
  told->set_founding_regions(founding_.count);
  told->set_founding_witnesses(founding_.witnesses);
  for (const auto& group : groups_) {
    const RaftStatus status = group->status();
    const Position last = group->last_position();
    v1::GroupRecovery* facts = told->add_groups();
    facts->set_group(group->id().value);
    facts->set_term(status.term.value);
    facts->mutable_last()->set_term(last.term.value);
    facts->mutable_last()->set_index(last.index.value);
    facts->set_forgot(!group->gate_open());
    facts->set_leads(group->leads());
    facts->set_configuration(encode(group->configuration()));
    for (const Configuration& next : group->coming()) facts->add_coming(encode(next));
  }
  for (const auto& [id, configurations] : foundings_under_way()) {
    const LogIndex last = log_.last_index(id);
    v1::GroupRecovery* facts = told->add_groups();
    facts->set_group(id.value);
    facts->set_term(log_.hard_state(id).term.value);
    facts->mutable_last()->set_term(log_.term(id, last).value_or(Term{0}).value);
    facts->mutable_last()->set_index(last.value);
    facts->set_forgot(log_.meta(floor_key(id)).has_value());
    facts->set_configuration(encode(configurations.front()));
    for (const Configuration& other : configurations) facts->add_coming(encode(other));
  }
}

void Engine::on_recovery_told(NodeId from, const v1::RecoveryTold& told, Instant now) {
  if (told.incarnation() != start_id_) return;
  if (told.founding_regions() > kMostRegions) return;
  const auto first = static_cast<std::uint8_t>(told.founding_regions());
  const Status wrong = same_witnesses(told.founding_witnesses(), first_regions(named_.witnesses, first));
  if (recovery_.asking() && !wrong) {
    // Of two nodes of a new cluster neither knows better: none begins before their files say the same.
    if (!told.recovering()) fatal_ = wrong;
    else if (!std::exchange(told_of_witnesses_, true)) log_warning("store: " + wrong.error().message);
    return;
  }
  std::vector<Recovery::GroupFacts> facts;
  for (const auto& group : told.groups()) {
    if (group.group() > kMostRegions) return;
    facts.resize(std::max<std::size_t>(facts.size(), group.group() + 1));
    facts[group.group()] = {
        Term{group.term()}, {Term{group.last().term()}, LogIndex{group.last().index()}}, {}, {}, group.forgot(),
        group.leads()};
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
  const auto result =
      recovery_.told(from, told.recovering(), std::move(facts), std::move(founders), first, told.may_found());
  if (recovery_.nobody_remembers() && !std::exchange(told_of_loss_, true)) {
    log_warning(
        "store: none of those whom the cluster file names remembers this cluster, and not all of them were "
        "made for a new one: if it lives on elsewhere, give this node a file that names its nodes of today; if "
        "all disks are lost, begin anew with 'evercert init'");
  }
  if (recovery_.too_few_remember() && !std::exchange(told_of_loss_, true)) {
    log_warning(
        "store: this node has lost its disk and so have so many others that what was acknowledged last may be gone: it "
        "waits. 'evercert recover' on those that have theirs says what is left, and goes on with that");
  }
  if (!result) return;
  founders_ = recovery_.founders();
  founding_.count = recovery_.founding_regions();
  founding_.witnesses = first_regions(named_.witnesses, founding_.count);
  log_.put_meta(std::string(kFoundersKey), encode_founders({founders_, founding_.count, founding_.witnesses}));
  // The file may name regions that were added, or are to be: their groups begin with the entry that says so.
  options_.layout.regions = founding_.count;
  membership_->set_founding(founding_);
  if (groups_.size() > options_.layout.groups()) groups_.resize(options_.layout.groups());
  Status adopted = learn_witnesses();
  if (adopted) adopted = begin_groups(now);
  for (std::uint32_t g = 0; g < result->size() && adopted; ++g) adopted = adopt(GroupId{g}, (*result)[g], now);
  if (!adopted) {
    fatal_ = adopted;
    return;
  }
  log_.put_meta(std::string(kMemberKey), "1");
  must_sync_ = true;
  members_moved(*groups_.front());
  // A replica that is alone in its cluster, or all of a new cluster, goes on at the next tick.
}

// What was heard of a group counts from now on, and durably, also of one that has not begun here.
Status Engine::adopt(GroupId id, const Recovery::GroupFacts& facts, Instant now) {
  const Term term = facts.term;
  if (has(id)) {
    Group& group = *groups_[id.value];
    EC_ASSIGN(auto configuration, load_configuration(id));
    EC_TRY(group.use(std::move(configuration), now));
    EC_TRY(group.adopt_term(term, now));
    committed_[id.value].clear();  // the new core hands them out again
    group.close_gate(facts.last);
  } else if (options_.bug == Bug::kBegunAnew) {
    return {};
  } else if (term > log_.hard_state(id).term) {
    EC_PROBE("a node without a log hears of an added region's group before it begins there");
    log_.set_hard_state(id, {term, options_.self, LogIndex{0}});
  }
  if (facts.last.index > LogIndex{0} && options_.bug != Bug::kForgetFloor)
    log_.put_meta(floor_key(id), encode_position(facts.last));
  return {};
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
    for (const NodeId node : others_) {
      if (audit_.differs(group->id(), node)) status.differing.push_back(node);
    }
    status.copied_from = audit_.copied_from(group->id());
    all.push_back(status);
  }
  return all;
}

}  // namespace evercert::store
