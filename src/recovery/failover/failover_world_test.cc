// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/failover_world_test.h"

#include <algorithm>

#include "recovery/failover/observation.h"

namespace evercert::recovery {
namespace {

constexpr Duration kLease = 5s, kTick = 1s, kFaults = 1200s, kCalm = 1800s;
constexpr Duration kHold = 20s;  // of a verdict, after its reason is over
const std::string kAlice = "alice";

}  // namespace

World::World(std::uint64_t seed, Bug bug) : chance_(seed), bug_(bug), majority_may_die_(seed % 8 == 7) {
  const std::uint64_t regions = 3 + chance_.below(3), zones = 1 + chance_.below(2);
  for (std::uint64_t r = 1; r <= regions; ++r) {
    const RegionId region{static_cast<std::uint8_t>(r)};
    cluster_.regions[region] = "region-" + std::to_string(r);
    regions_[region];
    for (std::uint64_t z = 1; z <= zones; ++z) {
      const NodeId node = node_id(region, static_cast<std::uint8_t>(z));
      cluster_.nodes[node] = region;
      nodes_[node];
    }
    Process& process = processes_.emplace_back();
    process.skew = chance_.between(0s, 2s);
  }
  if (chance_.one_in(3)) regions_.begin()->second.liar = true;
  policy_.well = chance_.between(5s, 40s);
  policy_.stage = chance_.between(5s, 30s);
  policy_.pause = chance_.between(5s, 30s);
  policy_.requests = 5s;
  policy_.approval = 60s;
  if (chance_.one_in(2)) policy_.log_entries = 100 + static_cast<std::int64_t>(chance_.below(200));
  if (chance_.one_in(4)) policy_.modes[Kind::kRegion] = Mode::kApproval;
}

void World::at(Instant when, std::function<void()> what) { events_.emplace(when, std::move(what)); }

std::string World::run() {
  const Instant begun = now_;
  for (std::size_t p = 0; p < processes_.size(); ++p) at(now_ + chance_.between(0s, kTick), [this, p] { tick(p); });
  at(now_ + 1s, [this] { fate_of_regions(); });
  at(now_ + 5s, [this] { misfortune(); });
  at(now_, [this] { elect(); });
  at(begun + kFaults, [this] {
    calm_ = true;
    for (auto& [id, node] : nodes_) node.down = node.broken = false;
    for (auto& [id, region] : regions_) {
      region.up = true;
      region.sick = region.failing = region.liar = false;
      region.changed = now_;
      if (region.standing == Standing::kFenced && region.by == "attested") {
        // Her word of what comes after the store's own fence.
        if (region.before_by == kAlice) region.before = Standing::kServing;
        if (region.word.epoch != 0) region.word = {++epoch_, Standing::kServing, kAlice}, region.word_at = now_;
      } else if (region.by == kAlice && region.standing != Standing::kServing) {
        person_says(region, Standing::kServing);
      }
    }
  });
  while (!events_.empty() && broken_.empty()) {
    const auto next = events_.begin();
    now_ = next->first;
    if (now_ - begun > kFaults + kCalm) break;
    auto what = std::move(next->second);
    events_.erase(next);
    what();
  }
  if (broken_.empty()) check_end();
  return broken_;
}

bool World::truly_out(RegionId region, Duration within) const {
  const Region& r = regions_.at(region);
  return ill(r) || now_ - r.last_bad <= within;
}

// What goes wrong: one thing at a time, and often the same again.
void World::misfortune() {
  if (calm_) return;
  at(now_ + chance_.between(1s, 40s), [this] { misfortune(); });
  const RegionId id{static_cast<std::uint8_t>(1 + chance_.below(regions_.size()))};
  Region& region = regions_.at(id);
  const auto down = std::ranges::count_if(regions_, [](const auto& r) { return !r.second.up; });
  switch (chance_.below(majority_may_die_ ? 12 : 11)) {
    case 0:
    case 1:
      if (region.up && down * 2 + 2 >= static_cast<std::ptrdiff_t>(regions_.size())) return;
      region.up = !region.up;
      region.changed = now_;
      break;
    case 2: region.sick = !region.sick; break;
    case 3:
      region.failing = !region.failing;
      region.failing_since = now_;
      break;
    case 4: processes_[holder_].asleep_until = now_ + chance_.between(1s, 20s); break;
    case 5:
      for (Process& process : processes_) {
        if (chance_.one_in(2)) process.deaf_until = now_ + chance_.between(1s, 90s);
      }
      break;
    case 6:  // the process ends and begins anew
      processes_[holder_].session.reset();
      ++processes_[holder_].life;
      lease_end_ = now_;
      break;
    case 7: person_changes(id); break;
    case 8:
    case 9: misfortune_of_a_node(id); break;
    case 11:
      if (majority()) majority_dies();
      break;
    default: {
      if (!majority()) return;
      Order order;
      const auto state = recorded();
      const auto open =
          std::ranges::find_if(state.incidents, [](const Incident& i) { return i.phase == Phase::kApproval; });
      order.by = kAlice;
      order.region = id;
      order.at_ms = times(processes_[0]).wall.ms;
      if (open != state.incidents.end() && !chance_.one_in(4)) {
        order.verb = chance_.one_in(4) ? Order::Verb::kReject : Order::Verb::kApprove;
        order.incident = open->id;
        order.plan = open->plan;
        ++facts_.approvals;
      } else if (!state.incidents.empty() && chance_.one_in(3)) {
        order.verb = Order::Verb::kAbort;
        order.at_once = chance_.one_in(3);
        order.incident = state.incidents.back().id;
      } else if (!chance_.one_in(5)) {
        return;
      }
      ++revision_;
      space_[std::string(kOrdersPrefix) + std::to_string(revision_)] = {to_json(order), revision_};
    }
  }
}

// One region is left, which can do nothing and says so; then all are there again, and it is the last to be well.
void World::majority_dies() {
  ++facts_.majorities_lost;
  const std::uint64_t left = 1 + chance_.below(regions_.size());
  const Duration gone = chance_.between(10s, 60s);
  for (auto& [id, region] : regions_) {
    if (id.value == left || !region.up) continue;
    region.up = false;
    region.changed = now_;
  }
  at(now_ + gone, [this, left] {
    for (auto& [id, region] : regions_) {
      if (!region.up) region.changed = now_;
      region.up = true;
      if (!calm_)
        region.recovering_until = now_ + (id.value == left ? chance_.between(0s, 20s) : chance_.between(0s, 3s));
    }
  });
}

// One zone of a region at a time.
void World::misfortune_of_a_node(RegionId region) {
  const NodeId first = node_id(region, 1), second = node_id(region, 2);
  if (!nodes_.contains(second)) return;
  Node& node = nodes_.at(chance_.one_in(2) ? first : second);
  const Node& other = nodes_.at(&node == &nodes_.at(first) ? second : first);
  bool& what = chance_.one_in(2) ? node.down : node.broken;
  if (!what && (other.down || other.broken) && !chance_.one_in(4)) return;
  what = !what;
  node.bad_since = now_;
}

void World::person_says(Region& region, Standing wanted) {
  region.standing = wanted;
  region.by = kAlice;
  region.request_id.clear();
  region.epoch = ++epoch_;
  region.word = {epoch_, wanted, kAlice};
  region.word_at = now_;
  ++facts_.words;
}

// Mostly of a region about which something is going on.
void World::person_changes(RegionId id) {
  if (!majority()) return;
  const State state = recorded();
  for (const Incident& incident : state.incidents) {
    if (incident.kind == Kind::kRegion && incident.phase != Phase::kClosed && !chance_.one_in(3)) id = incident.region;
  }
  Region& region = regions_.at(id);
  const auto serving =
      std::ranges::count_if(regions_, [](const auto& r) { return r.second.standing == Standing::kServing; });
  const Standing out = chance_.one_in(2) ? Standing::kDraining : Standing::kFenced;
  if (region.standing == Standing::kServing) {
    if (serving > 2) person_says(region, out);
  } else if (region.by == kAlice || !chance_.one_in(3)) {
    person_says(region, Standing::kServing);
  } else {
    person_says(region, region.standing == Standing::kFenced ? Standing::kFenced : out);  // makes it her own
  }
}

// What the store does by itself: it fences who is silent, and admits who is back.
void World::fate_of_regions() {
  at(now_ + 500ms, [this] { fate_of_regions(); });
  const auto up = std::ranges::count_if(regions_, [](const auto& r) { return r.second.up; });
  const auto serving =
      std::ranges::count_if(regions_, [](const auto& r) { return r.second.standing == Standing::kServing; });
  for (auto& [id, node] : nodes_) {
    if (node.down || node.broken || !regions_.at(region_of(id)).up) node.last_bad = now_;
  }
  for (auto& [id, region] : regions_) {
    if (ill(region)) {
      region.last_bad = now_;
      region.out_until = now_ + kHold;
    }
    const bool attested = region.standing == Standing::kFenced && region.by == "attested";
    if (up * 2 <= static_cast<std::ptrdiff_t>(regions_.size())) continue;
    if (!region.up && now_ - region.changed > 4s && region.standing != Standing::kFenced && serving > 1) {
      region.before = region.standing;
      region.before_by = region.by;
      region.standing = Standing::kFenced;
      region.by = "attested";
      region.epoch = ++epoch_;
    } else if (region.up && attested && now_ - region.changed > 3s) {
      region.standing = region.before;
      region.by = region.before_by;
      region.epoch = ++epoch_;
    }
  }
}

bool World::region_alive(std::size_t process) const {
  return regions_.at(RegionId{static_cast<std::uint8_t>(process + 1)}).up;
}

void World::elect() {
  at(now_ + 200ms, [this] { elect(); });
  Process& holder = processes_[holder_];
  if (!majority()) return;
  if (lock_ != 0 && region_alive(holder_) && now_ >= holder.asleep_until && now_ < lease_end_)
    lease_end_ = now_ + kLease;
  if (lock_ != 0 && now_ < lease_end_) return;
  const std::size_t next = chance_.below(processes_.size());
  if (!region_alive(next) || now_ < processes_[next].asleep_until) return;
  lock_ = ++revision_;
  holder_ = next;
  lease_end_ = now_ + kLease;
  ++facts_.elections;
  Process& elected = processes_[next];
  elected.session.reset();
  elected.token = lock_;
  ++elected.life;
  elected.busy = false;
}

State World::recorded() const {
  const auto entry = space_.find(std::string(kStateKey));
  if (entry == space_.end()) return {};
  const auto state = parse_state(entry->second.value, times(processes_[0]));
  return state ? *state : State{};
}

traffic::Shares World::shares() const {
  const auto entry = space_.find(std::string(traffic::kSharesKey));
  return entry == space_.end() ? traffic::Shares{}
                               : traffic::parse_shares(entry->second.value).value_or(traffic::Shares{});
}

Observation World::observation(NodeId node) {
  const RegionId own = region_of(node);
  Observation o;
  o.node = node;
  const bool lies = regions_.at(own).liar;
  for (const auto& [id, region] : regions_) {
    // It says of one other that it is out, and is believed by nobody.
    const bool lie = lies && id.value == own.value % regions_.size() + 1;
    const bool bad = lie || ill(region);
    o.scores[id] = bad ? 0 : 100;
    // The verdict outlasts the reason, as health's does.
    if (bad || now_ < region.out_until) o.out[id] = "it looks ill";
  }
  for (const auto& [other, region] : cluster_.nodes)
    o.nodes[other] = regions_.at(region).up && !nodes_.at(other).down ? 100 : 0;
  o.components["HSM"] = nodes_.at(node).broken ? 0 : 100;
  NodeId leader;
  for (const auto& [other, region] : cluster_.nodes) {
    const Region& r = regions_.at(region);
    if (r.up && r.standing == Standing::kServing && leader == NodeId{}) leader = other;
  }
  for (std::uint32_t g = 0; g <= regions_.size(); ++g)
    o.groups.push_back({GroupId{g}, leader, leader == NodeId{} ? 9s : 0s, 10ms});
  const Region& region = regions_.at(own);
  o.load = {0, 50, region.failing ? 0.2 : 0, 80ms, 0.2, 2};
  o.queued = chance_.below(4);
  return o;
}

Picture World::picture_of(Process& process) {
  for (const auto& [node, region] : cluster_.nodes) {
    if (now_ < process.deaf_until || !regions_.at(region).up || nodes_.at(node).down || chance_.one_in(12)) continue;
    // The way a document goes.
    const auto heard = parse_observation(to_json(observation(node)));
    if (!heard) say("an observation does not parse: " + heard.error().message);
    else process.seen[node] = {*heard, now_ - chance_.between(0ms, 400ms)};
  }
  Picture picture;
  picture.seen = process.seen;
  for (const auto& [id, region] : regions_) picture.members[id] = {region.standing, region.by, true, region.word};
  picture.epoch = epoch_;
  picture.members_at = now_;
  // As the office does: now and then.
  if (chance_.one_in(20)) {
    for (auto entry = space_.lower_bound(std::string(kLogPrefix));
         entry != space_.end() && entry->first.starts_with(kLogPrefix) && picture.oldest.size() < 32; ++entry) {
      if (const auto read = parse_entry(entry->second.value)) picture.oldest.push_back(*read);
    }
  }
  return picture;
}

void World::tick(std::size_t p) {
  at(now_ + kTick, [this, p] { tick(p); });
  Process& process = processes_[p];
  // A process that stood still goes on as if nothing had been: it does not know yet that it was replaced.
  if (process.token == 0 || now_ < process.asleep_until || !region_alive(p) || process.busy) return;
  if (!process.session) {
    if (lock_ != process.token) return;
    Inheritance heritage;
    const auto state = space_.find(std::string(kStateKey)), kept = space_.find(std::string(traffic::kSharesKey));
    if (state != space_.end()) heritage.state = state->second.value, heritage.state_revision = state->second.modified;
    if (kept != space_.end()) heritage.shares_revision = kept->second.modified;
    heritage.shares = shares();
    auto begun = Session::begin(
        cluster_, policy_, heritage, "node-" + std::to_string(p + 1), process.token, times(process),
        [](const std::string& text) {
          return Signature{"a node", text};
        },
        bug_);
    if (!begun) return say("what a controller wrote is not understood: " + begun.error().message);
    const State left = recorded();
    for (const Incident& incident : left.incidents) {
      for (const Step& step : incident.steps) facts_.adopted_pending += step.epoch != 0 ? 1 : 0;
    }
    process.session = std::make_unique<Session>(std::move(*begun));
  }
  look(p);
}

void World::look(std::size_t p) {
  Process& process = processes_[p];
  std::vector<Order> orders;
  for (const auto& [key, entry] : space_) {
    if (!key.starts_with(kOrdersPrefix)) continue;
    if (auto order = parse_order(entry.value)) {
      order->key = key;
      orders.push_back(*order);
    }
  }
  const auto wanted = process.session->look(picture_of(process), orders, now_);
  if (wanted) {
    process.busy = true;
    at(now_ + chance_.between(5ms, chance_.one_in(20) ? 8s : 300ms),
       [this, p, write = *wanted, life = process.life, epoch = epoch_] { this->write(p, write, life, epoch); });
  }
  if (const auto effect = process.session->take_effect()) carry_out(p, *effect);
}

void World::write(std::size_t p, const Write& write, std::uint64_t life, std::uint64_t epoch) {
  const auto modified = [&](std::string_view key) {
    const auto entry = space_.find(std::string(key));
    return entry == space_.end() ? 0 : entry->second.modified;
  };
  const bool held = write.token == 0 || (write.token == lock_ && now_ < lease_end_);
  const bool stands = majority() && held && modified(kStateKey) == write.state_revision &&
                      modified(traffic::kSharesKey) == write.shares_revision;
  Result<std::int64_t> done = fail(Code::kConflict, "another controller has written");
  if (stands) {
    if (!(processes_[p].token == lock_ && now_ < lease_end_)) say("a controller that was replaced has written");
    apply(write, epoch);
    done = revision_;
    // The answer may be lost on its way.
    if (chance_.one_in(40)) done = fail(Code::kUnknownOutcome, "no answer");
  } else {
    ++facts_.refused_writes;
  }
  Process& process = processes_[p];
  if (process.life != life || !process.session) return;
  process.busy = false;
  process.session->written(done, now_);
  if (process.session->over()) {
    process.session.reset();
    // It gives the lock back, and stands for election anew.
    if (process.token == lock_) lease_end_ = now_;
    process.token = 0;
    return;
  }
  if (const auto effect = process.session->take_effect()) carry_out(p, *effect);
}

void World::apply(const Write& write, std::uint64_t epoch) {
  const auto before = shares();
  ++revision_;
  for (const auto& [key, value] : write.puts) {
    if (key.starts_with(kLogPrefix)) {
      if (space_.contains(key)) say("an entry of the log was overwritten: " + key);
      ++entries_;
      if (const auto entry = parse_entry(value)) told_.insert(entry->incident + "|" + entry->text);
    }
    space_[key] = {value, revision_};
  }
  for (const auto& key : write.removes) space_.erase(key);
  const State state = recorded();
  check_shares(before, shares(), state, epoch);
  check_node_shares(before, shares(), state);
  check_words(state, epoch);
  check_state(state);
}

void World::carry_out(std::size_t p, const Effect& effect) {
  // It may be on its way for long, and its sender be replaced meanwhile.
  const Duration way = chance_.one_in(5) ? chance_.between(1s, 25s) : chance_.between(10ms, 500ms);
  at(now_ + way, [this, p, effect, life = processes_[p].life, sender = processes_[p].token] {
    Result<std::string> how = std::string("done");
    if (effect.kind == StepKind::kDrain || effect.kind == StepKind::kReadmit) how = change_membership(effect, sender);
    else if (chance_.one_in(6)) how = fail(Code::kInvalid, "nobody answers");
    if (chance_.one_in(15)) how = fail(Code::kUnknownOutcome, "no answer");
    Process& process = processes_[p];
    if (process.life != life || !process.session) {
      ++facts_.zombie_effects;
      return;
    }
    process.session->ended(effect, std::move(how), now_);
  });
}

// As the store does it: store/membership.cc.
Result<std::string> World::change_membership(const Effect& effect, std::int64_t sender) {
  Region& region = regions_.at(effect.region);
  if (!majority()) return fail(Code::kUnavailable, "no majority");
  if (effect.token != 0 && (effect.token != lock_ || now_ >= lease_end_)) {
    ++facts_.late_changes;
    return fail(Code::kConflict, "who asks for it has been replaced");
  }
  if (region.request_id == effect.id && region.standing == effect.to) return std::string("done before");
  if (effect.epoch != epoch_) return fail(Code::kConflict, "the membership has changed meanwhile");
  if (region.standing == effect.to) return fail(Code::kConflict, "it is so already");
  const auto others = std::ranges::count_if(
      regions_, [&](const auto& o) { return o.first != effect.region && o.second.standing == Standing::kServing; });
  if (effect.to != Standing::kServing && others == 0) return fail(Code::kConflict, "no other region serves");
  // From here on it is done.
  if (sender != lock_) say("a controller that was replaced has changed the membership");
  // Was it written down, and does it still stand there?
  const State state = recorded();
  const auto known = std::ranges::find(state.incidents, effect.incident, &Incident::id);
  const bool stands = known != state.incidents.end() && known->plan == effect.plan &&
                      effect.step < known->steps.size() && known->steps[effect.step].kind == effect.kind &&
                      known->steps[effect.step].state == StepState::kRunning &&
                      known->steps[effect.step].epoch == effect.epoch;
  if (!stands) say("a change of the membership that no step stands for: " + effect.id);
  if (effect.to == Standing::kServing && !(region.standing == Standing::kDraining && region.by == kController))
    say("a region was put back that " + region.by + " had taken out");
  if (effect.to != Standing::kServing && region.word.epoch != 0 && region.word.wanted == Standing::kServing &&
      now_ - region.word_at < policy_.well && !(stands && person_since(*known, region)))
    say("a region is drained so soon after a person has put it back");
  region.word = {};
  region.standing = effect.to;
  region.by = effect.to == Standing::kServing ? "" : std::string(kController);
  region.request_id = effect.id;
  region.epoch = ++epoch_;
  return std::string("epoch " + std::to_string(epoch_));
}

std::string World::history(std::size_t most) const {
  std::vector<std::string> lines;
  for (auto entry = space_.lower_bound(std::string(kLogPrefix));
       entry != space_.end() && entry->first.starts_with(kLogPrefix); ++entry) {
    const auto read = parse_entry(entry->second.value);
    if (!read) continue;
    const std::int64_t ms = read->at_ms - 1'700'000'000'000;
    lines.push_back(std::to_string(ms) + " [" + std::to_string(read->token) + "] " + read->incident + " " + read->text +
                    (read->evidence.empty() ? "" : " (" + read->evidence.substr(0, 120) + ")"));
  }
  std::string all = broken_;
  for (std::size_t i = lines.size() > most ? lines.size() - most : 0; i < lines.size(); ++i) all += "\n  " + lines[i];
  return all;
}

}  // namespace evercert::recovery
