// SPDX-License-Identifier: Apache-2.0
#include "store/group.h"

#include "base/check.h"
#include "base/probe.h"
#include "store/keys.h"
#include "store/reconfiguration.h"

namespace evercert::store {
namespace {

constexpr std::size_t kMostParsed = 4096;  // beyond, entries are parsed again when they are applied

// Claims of idempotency keys are never read from a copy: who needs one proposes it and is told who was first. So no
// region has to have them before the answer, and the round trip to the farthest is saved.
bool answered_by_majority(const v1::Command& command) { return command.has_claim_request_key(); }

}  // namespace

Result<std::unique_ptr<Group>> Group::open(GroupOptions options, Configuration configuration, Log& log, TailIndex& tail,
                                           Random& random, LogIndex applied, Instant now) {
  if (log.last_index(options.id) < applied) {
    return fail(Code::kCorrupt, "the state of group " + std::to_string(options.id.value) + " is ahead of its log");
  }
  if (applied < log.snapshot(options.id).index) {
    return fail(Code::kCorrupt,
                "the state of group " + std::to_string(options.id.value) + " ends before its log begins");
  }
  std::unique_ptr<Group> group(new Group(options, std::move(configuration), log, tail, random, applied, now));
  EC_TRY(group->start_raft());
  group->refresh_role();
  group->lease_.own_log_at(group->last_position());
  EC_ASSIGN(const auto unapplied, log.entries(options.id, LogIndex{applied.value + 1},
                                              LogIndex{log.last_index(options.id).value + 1}, UINT64_MAX));
  for (const LogEntry& entry : unapplied) {
    v1::Command command;
    if (entry.type == EntryType::kConfChangeV2) group->remember_change(entry);
    if (entry.type == EntryType::kNormal && command.ParseFromString(entry.data)) {
      tail.appended(entry.index, touched_records(command));
    }
  }
  group->configuration_moved();
  return group;
}

Group::Group(GroupOptions options, Configuration configuration, Log& log, TailIndex& tail, Random& random,
             LogIndex applied, Instant now)
    : options_(options),
      configuration_(std::move(configuration)),
      log_(log),
      tail_(tail),
      random_(random),
      promises_(configuration_.halves.front(), options.self, options.lease, now, last_position(), options.bug),
      lease_(configuration_.halves.front(), options.self, options.lease, options.bug),
      acks_(configuration_.halves.front(), options.bug),
      applied_(applied),
      settled_(std::max(applied, log.hard_state(options.id).commit)) {}

Status Group::start_raft() {
  RaftOptions raft;
  raft.self = options_.self;
  raft.election_ticks = options_.election_ticks;
  raft.heartbeat_ticks = options_.heartbeat_ticks;
  raft.applied = applied_;
  EC_ASSIGN(raft_, RaftNode::create(raft, *this));
  if (options_.bug != Bug::kApplyBeforeSettled) raft_->set_settled(settled_);
  return {};
}

// Nobody stands within the time in which another is being elected: two that ask at once vote for themselves, and each
// such draw costs a whole time-out. So the order is fixed: the home region first, so that a leader comes up at home,
// then the others after it in turn. The leader that is gone is left out; if it lives after all, it stands after them;
// the zones of a region one tick after the other. Between two regions is what an election over a wide-area network
// takes (a question, a vote on its way: 215 ms) and a heartbeat that reached only one of them (150 ms). A witness
// stands last: it must lead only when nobody else has the newest entry. The least is raised a little: until then,
// others that heard the dead leader last do not listen (check quorum). Who was restarted does not know who led, so two
// may have the same turn all the same: whoever stood in vain draws from a whole time-out more, as Raft does.
std::uint64_t Group::draw_election_ticks() {
  const std::uint64_t least = options_.election_ticks;
  const std::uint8_t home =
      options_.home.value != 0 ? options_.home.value : static_cast<std::uint8_t>(std::max(options_.id.value, 1u));
  const RegionId own = region_of(options_.self);
  const auto turn = [&](RegionId region) { return static_cast<std::uint8_t>(region.value - home); };  // wraps around
  std::set<RegionId> before;
  std::uint64_t zones_before = 0;
  for (const NodeId voter : configuration_.voters()) {
    if (voter == last_leader_) continue;
    const RegionId region = region_of(voter);
    const bool witness_region = (options_.witnesses & region_bit(region)) != 0;
    const bool last = options_.stands_last || (options_.self == last_leader_ && witness_region == witness());
    if (region == own) zones_before += voter < options_.self || last ? 1 : 0;
    else if (witness_region == witness() ? turn(region) < turn(own) || last : witness()) before.insert(region);
  }
  return least + least / 12 + before.size() * (least * 5 / 12) + std::min<std::uint64_t>(zones_before, 5) +
         random_.below(2) + (stood_in_vain_ ? random_.below(least) : 0);
}

void Group::refresh_role() {
  const RaftStatus now = raft_->status();
  const bool changed = now.term != role_term_ || now.role != role_;
  if (now.leader != NodeId{0}) stood_in_vain_ = false;
  else if (now.role == RaftRole::kCandidate) stood_in_vain_ = true;
  if (changed || election_ticks_ == 0) election_ticks_ = draw_election_ticks();
  if (now.term != role_term_ || now.role != RaftRole::kLeader) {
    if (role_ == RaftRole::kLeader || now.term != role_term_) acks_.clear();
  }
  if (now.term != role_term_) {
    last_ack_.reset();
    remembering_.clear();
  }
  // What was committed before, the first append of a leader says.
  if (changed && now.role == RaftRole::kLeader) told_commit_ = std::min(now.commit, settled_);
  role_ = now.role;
  role_term_ = now.term;
  if (now.leader != leader_) {
    leader_ = now.leader;
    if (leader_ != NodeId{0} && leader_ != std::exchange(last_leader_, leader_))
      election_ticks_ = draw_election_ticks();
    if (on_leader_changed) on_leader_changed(options_.id);
  }
}

void Group::tick(Instant) {
  if (!gate_open_) return;  // a follower's ticks do nothing but lead to a candidacy
  // The core draws its own time-outs from a global generator: ours come from the seed, and are set before each tick.
  raft_->set_election_timeout(election_ticks_);
  raft_->tick();
  refresh_role();
}

Result<RaftMessage> Group::step(NodeId from, std::string_view raft_message) {
  auto stepped = raft_->step(raft_message, from, gate_open_ || options_.bug == Bug::kVoteBehindGate);
  if (!stepped && !gate_open_) EC_PROBE("a vote or a leader's belief is refused behind a closed gate");
  // Whoever said it, and in whatever term: what is settled stays so.
  if (stepped) settled_to(stepped->commit);
  refresh_role();
  return stepped;
}

void Group::campaign_now() {
  if (!gate_open_ || leader_ != NodeId{0} || !configuration_.votes(options_.self)) return;
  if (const Status begun = raft_->campaign(); !begun) return;  // refused while a change of members is pending
  refresh_role();
}

void Group::acknowledged(NodeId from, Term term, LogIndex index, RegionSet regions) {
  if (role_ == RaftRole::kLeader && term == role_term_) acks_.acknowledged(from, index, regions);
}

void Group::peer_started(NodeId node) {
  lease_.forget_neighbour(node);
  if (options_.bug == Bug::kTrustEarlierLife) return;
  acks_.forget(node);
  remembering_.erase(node);
  raft_->report_new_life(node);
}

void Group::remembers(NodeId follower, Term term) {
  if (role_ == RaftRole::kLeader && term == role_term_) remembering_.insert(follower);
}

void Group::propose(std::string command, WallTime wall, Answer answer) {
  if (role_ != RaftRole::kLeader) return answer(fail(Code::kUnavailable, "not the leader"));
  if (witness()) return answer(fail(Code::kUnavailable, "a witness leads for a moment: it takes no commands"));
  // What cannot be read can never be applied: in the log it would end every replica. (A text that is no UTF-8 can be
  // written into a message, but not read from it.)
  v1::Command readable;
  if (!readable.ParseFromString(command) || readable.kind_case() == v1::Command::KIND_NOT_SET)
    return answer(fail(Code::kInvalid, "the command does not parse"));
  // The leader's stamp: lag is counted from here. A field at the end of a message replaces an earlier one of its
  // number.
  v1::Command stamp;
  stamp.set_proposed_at_ms(wall.ms);
  command += stamp.SerializeAsString();
  if (const Status taken = raft_->propose(std::move(command)); !taken) return answer(fail(taken.error()));
  const RaftStatus now = raft_->status();
  if (options_.bug == Bug::kAckOnAppend) return answer(v1::Outcome{});
  proposals_.push_back({now.last, now.term, false, std::nullopt, std::move(answer)});
  told_commit_ = std::min(now.commit, settled_);  // the append carries it
}

bool Group::tell_commit() {
  if (role_ != RaftRole::kLeader) return false;
  const LogIndex commit = std::min(raft_->status().commit, settled_);
  if (commit <= told_commit_) return false;
  told_commit_ = commit;
  raft_->tell_commit();
  return true;
}

void Group::configuration_moved() {
  ++changes_seen_;
  acks_.use(configuration_.halves);
  lease_.use(configuration_.halves);
  lease_.suspend(changing() && options_.bug != Bug::kAnswerByNewVoters);
}

void Group::remember_change(const LogEntry& entry) {
  auto change = read_change(entry.data);
  // What does not parse stops the node when it is to be applied.
  pending_changes_.push_back({entry.index, change ? std::move(*change) : MembersChange{}});
}

std::vector<Configuration> Group::coming() const {
  std::vector<Configuration> all;
  for (const Change& change : pending_changes_)
    all.push_back(after(all.empty() ? configuration_ : all.back(), change.what));
  return all;
}

void Group::committed(const std::vector<LogEntry>& entries) {
  if (!entries.empty()) raft_->advance_applied(entries.back().index);
}

Status Group::change_members(const LogEntry& entry) {
  EC_PROBE("a change of members takes effect");
  EC_ASSIGN(auto members, raft_->apply_change(entry.data, configuration_.lineage));
  configuration_ = configuration_of(std::move(members), configuration_.halves.front().regions, configuration_.lineage);
  while (!pending_changes_.empty() && pending_changes_.front().index <= entry.index) pending_changes_.pop_front();
  configuration_moved();
  return {};
}

void Group::move_towards(const std::vector<NodeId>& wanted, bool gather, const std::vector<NodeId>& guests) {
  // A leader knows what is under way when an entry of its own term has been applied. What is settled, whoever has the
  // next change in its log has been told (take_ready() in engine_flush.cc writes it down with the change), so that
  // nobody stands for election under the members of two changes ago.
  const bool own_term = log_.term(options_.id, applied_).value_or(Term{0}) == role_term_;
  const bool quiet = !changing() && own_term;
  if (role_ != RaftRole::kLeader || !gate_open_ || !quiet) return;
  auto followers = raft_->followers();
  for (FollowerStatus& follower : followers) follower.remembers = remembering_.contains(follower.node);
  Step step = next_step(configuration_, wanted, options_.self, raft_->status().commit, followers, gather, guests,
                        options_.witnesses);
  if (step.hand_over) {
    EC_PROBE("a leader that is to be removed hands over");
    raft_->transfer_leader(*step.hand_over);
  } else if (step.change) {
    if (configuration_.joint()) EC_PROBE("a joint configuration is left");
    // Refused: it is tried again in the next round.
    step.change->lineage = configuration_.lineage;
    (void)raft_->propose_change(*step.change);
    told_commit_ = std::min(raft_->status().commit, settled_);
  }
}

Status Group::use(Configuration configuration, Instant now) {
  configuration_ = std::move(configuration);
  EC_TRY(start_raft());
  refresh_role();
  configuration_moved();
  promises_.log_at(last_position(), now);
  return {};
}

void Group::applied(LogIndex index, Term term, std::optional<v1::Outcome> outcome) {
  applied_ = index;
  tail_.applied_to(index);
  for (Proposal& proposal : proposals_) {
    if (proposal.index > index) break;
    if (proposal.index == index && proposal.term == term) proposal.outcome = std::move(outcome);
  }
}

void Group::settled_to(LogIndex index) {
  if (index <= settled_) return;
  settled_ = index;
  if (options_.bug != Bug::kApplyBeforeSettled) raft_->set_settled(settled_);
}

void Group::settle_more(Instant now) {
  if (role_ != RaftRole::kLeader) return;
  const LogIndex commit = raft_->status().commit;
  if (commit <= settled_) return;
  acks_.acknowledged(options_.self, log_.last_index(options_.id), promised(now));
  settled_to(acks_.answerable(commit));
}

bool Group::may_apply(const LogEntry& entry) const {
  if (entry.index <= settled_ || options_.bug == Bug::kApplyBeforeSettled) return true;
  if (role_ != RaftRole::kLeader) return false;
  for (const Parsed& parsed : parsed_) {
    if (parsed.index < entry.index) continue;
    return parsed.index == entry.index && parsed.term == entry.term && answered_by_majority(*parsed.command);
  }
  return false;
}

void Group::settle() {
  if (proposals_.empty()) return;
  if (role_ != RaftRole::kLeader) {
    // What was applied may be told as unknown too: whether every live region has it, only the new leader can say.
    EC_PROBE("leadership is lost with proposals waiting");
    auto lost = std::move(proposals_);
    proposals_.clear();
    for (Proposal& proposal : lost) proposal.answer(fail(Code::kUnknownOutcome, "leadership was lost"));
    return;
  }
  const LogIndex upto = std::min(settled_, applied_);
  while (!proposals_.empty() && proposals_.front().index <= upto) {
    Proposal proposal = std::move(proposals_.front());
    proposals_.pop_front();
    conclude(std::move(proposal));
  }
  for (auto it = proposals_.begin(); it != proposals_.end() && it->index <= applied_;) {
    if (!it->majority) {
      ++it;
      continue;
    }
    Proposal proposal = std::move(*it);
    it = proposals_.erase(it);
    conclude(std::move(proposal));
  }
}

void Group::conclude(Proposal proposal) {
  if (proposal.term != role_term_ || !proposal.outcome) {
    proposal.answer(fail(Code::kUnknownOutcome, "another leader's entry took the place of the proposal"));
  } else {
    proposal.answer(std::move(*proposal.outcome));
  }
}

void Group::appended(const std::vector<LogEntry>& entries, Instant now) {
  if (entries.empty()) return;
  tail_.truncated_from(entries.front().index);
  const std::size_t pending = pending_changes_.size();
  while (!pending_changes_.empty() && pending_changes_.back().index >= entries.front().index)
    pending_changes_.pop_back();
  while (!parsed_.empty() && parsed_.back().index >= entries.front().index) parsed_.pop_back();
  for (const LogEntry& entry : entries) {
    if (entry.type == EntryType::kConfChangeV2) remember_change(entry);
    if (entry.type != EntryType::kNormal || entry.data.empty()) continue;
    auto command = std::make_unique<v1::Command>();
    if (!command->ParseFromString(entry.data)) continue;  // refused when it is to be applied
    tail_.appended(entry.index, touched_records(*command));
    if (command->proposed_at_ms() != 0) unsynced_stamps_.push_back(command->proposed_at_ms());
    remember(entry, std::move(command));
  }
  if (pending != 0 || changing()) configuration_moved();
  const Position last{entries.back().term, entries.back().index};
  promises_.log_at(last, now);
  lease_.own_log_at(last);
}

void Group::remember(const LogEntry& entry, std::unique_ptr<v1::Command> command) {
  if (role_ == RaftRole::kLeader && answered_by_majority(*command)) {
    for (auto proposal = proposals_.rbegin(); proposal != proposals_.rend(); ++proposal) {
      if (proposal->index == entry.index && proposal->term == entry.term) proposal->majority = true;
      if (proposal->index <= entry.index) break;
    }
  }
  if (parsed_.size() < kMostParsed) parsed_.push_back({entry.index, entry.term, std::move(command)});
}

std::unique_ptr<v1::Command> Group::take_parsed(const LogEntry& entry) {
  while (!parsed_.empty() && parsed_.front().index <= entry.index) {
    Parsed parsed = std::move(parsed_.front());
    parsed_.pop_front();
    if (parsed.index == entry.index && parsed.term == entry.term) return std::move(parsed.command);
  }
  auto command = std::make_unique<v1::Command>();
  if (!command->ParseFromString(entry.data)) return nullptr;
  return command;
}

void Group::synced(WallTime wall, Instant now) {
  for (const std::int64_t proposed_at_ms : unsynced_stamps_) lag_.sample(wall.ms - proposed_at_ms, now);
  unsynced_stamps_.clear();
}

void Group::snapshot_installed(LogIndex index, Configuration configuration, Instant now) {
  parsed_.clear();
  configuration_ = std::move(configuration);
  const LogIndex end = log_.last_index(options_.id);
  std::erase_if(pending_changes_, [&](const Change& change) { return change.index <= index || change.index > end; });
  configuration_moved();
  applied_ = index;
  settled_to(index);
  tail_.applied_to(LogIndex{UINT64_MAX});
  const Position last = last_position();
  promises_.log_at(last, now);
  lease_.own_log_at(last);
}

void Group::sent_acknowledgement(Term term, LogIndex index) {
  if (last_ack_ && last_ack_->term == term && last_ack_->index > index) return;
  last_ack_ = Acknowledged{term, index};
}

Group::Acknowledged Group::repeatable_acknowledgement() const {
  return last_ack_ && last_ack_->term == role_term_ ? *last_ack_ : Acknowledged{role_term_, LogIndex{0}};
}

Status Group::adopt_term(Term term, Instant now) {
  HardState state = log_.hard_state(options_.id);
  if (term == Term{0} || term < state.term) return {};
  state.term = term;
  state.vote = options_.self;
  log_.set_hard_state(options_.id, state);
  EC_TRY(log_.sync());
  return use(configuration_, now);
}

bool Group::try_open_gate(Instant now) {
  if (gate_open_ || last_position() < floor_) return false;
  promises_.recovered(last_position(), now);
  gate_open_ = true;
  return true;
}

Position Group::last_position() const {
  const LogIndex last = log_.last_index(options_.id);
  const auto known = log_.term(options_.id, last);
  EC_CHECK(known.has_value(), "the log knows the term of its own end");
  return {*known, last};
}

// ----------------------------------------------------------------------------------------------------- RaftStorage

InitialState Group::initial_state() const {
  InitialState state;
  state.hard_state = log_.hard_state(options_.id);
  // The commit index is written down lazily; whatever is in the state was committed.
  state.hard_state.commit = std::max(state.hard_state.commit, applied_);
  state.members = members_of(configuration_);
  return state;
}

Result<std::vector<LogEntry>> Group::entries(LogIndex low, LogIndex high, std::uint64_t max_bytes) const {
  auto found = log_.entries(options_.id, low, high, max_bytes);
  if (!found && found.error().code != Code::kNotFound && log_sound_) log_sound_ = fail(found.error());
  return found;
}
Result<Term> Group::term(LogIndex index) const { return log_.term(options_.id, index); }
LogIndex Group::first_index() const { return log_.first_index(options_.id); }
LogIndex Group::last_index() const { return log_.last_index(options_.id); }
// Who has nothing needs what is there now, not what was written on the way there. A witness has no state to send, and
// what is not applied yet is in none: it may wait for this very follower.
bool Group::prefers_state(LogIndex low) const {
  return low == LogIndex{1} && applied_.value > options_.whole_log_most && !witness();
}
Result<SnapshotMeta> Group::request_snapshot(NodeId to) {
  // Who is new to the state that would be sent refuses it.
  if (!on_snapshot_wanted || !configuration_.contains(to))
    return fail(Code::kUnavailable, "no snapshot can be made now");
  EC_ASSIGN(SnapshotMeta meta, on_snapshot_wanted(to));
  meta.members = members_of(configuration_);
  return meta;
}

}  // namespace evercert::store
