// SPDX-License-Identifier: Apache-2.0
#include "sim/world.h"

#include "base/check.h"
#include "store/keys.h"
#include "store/reform.h"

namespace evercert::sim {
namespace {

store::LogBug log_bug(store::Bug bug) {
  switch (bug) {
    case store::Bug::kTrustUnsynced: return store::LogBug::kTrustUnsynced;
    case store::Bug::kRetrySync: return store::LogBug::kRetrySync;
    case store::Bug::kCutDamage: return store::LogBug::kCutDamage;
    default: return store::LogBug::kNone;
  }
}

}  // namespace

WorldOptions WorldOptions::draw(SeededRandom& random) {
  WorldOptions options;
  options.zones = random.chance(0.2) ? 3 : 1;
  options.wan = random.chance(0.6);
  options.drift = random.uniform() * 0.012;
  options.loss = random.chance(0.3) ? 0 : random.uniform() * 0.05;
  options.late = random.chance(0.3) ? 0 : random.uniform() * 0.05;
  options.late_by = random.between(500ms, 4s);
  options.jitter = random.uniform();
  options.spares = random.chance(0.3) ? 1 : 0;
  return options;
}

struct World::Node : store::PeerSink, WallClock {
  Node(World& w, NodeId node, double clock_speed) : world(w), id(node), speed(clock_speed) {}
  void send(NodeId to, const store::v1::Batch& batch) override { world.transmit(id, to, batch); }
  WallTime now() const override { return WallTime{wall_start().ms + world.now_.us / 1000}; }

  World& world;
  NodeId id;
  double speed;
  FakeDisk disk;
  store::MemKv kv;
  std::unique_ptr<store::Log> log;
  std::unique_ptr<store::FreshnessBoard> board;
  std::unique_ptr<store::Engine> engine;
  std::uint64_t life = 0;
  std::uint8_t file_regions = 0;  // that its cluster file names
  bool turn_scheduled = false;
  bool may_found = false;  // see store/recovery.h
  Duration slow_by{0};
  Instant busy_until;
  bool full = false;
  bool disk_failed = false;  // it may refuse to write or to sync
  bool log_damaged = false;  // it may hold something else than was written
  bool doubted = false;      // a person holds its state for wrong
  bool erred = false;        // its state holds something else than it should, or will
  End ended = End::kMachine;
  std::map<std::string, std::string> cache;  // certificates by serial
  std::set<std::uint32_t> led;               // groups, as was last noted
};

store::Layout layout_of(const WorldOptions& options) {
  store::Layout layout;
  layout.regions = options.regions;
  layout.witnesses = options.witnesses;
  for (std::uint8_t r = 1; r <= options.regions; ++r) {
    for (std::uint8_t z = 1; z <= options.zones; ++z) layout.nodes.push_back(node_id(RegionId{r}, z));
  }
  return layout;
}

std::vector<NodeId> all_nodes_of(const WorldOptions& options) {
  WorldOptions all = options;
  all.zones = static_cast<std::uint8_t>(options.zones + options.spares);
  all.regions = static_cast<std::uint8_t>(options.regions + options.added);
  return layout_of(all).nodes;
}

World::World(WorldOptions options, SeededRandom& random)
    : options_(options),
      random_(random),
      layout_(layout_of(options)),
      all_(all_nodes_of(options)),
      members_(layout_.nodes) {
  const int regions = options_.regions + options_.added;
  for (int a = 1; a <= regions; ++a) {
    for (int b = a; b <= regions; ++b) {
      Duration one_way = a == b ? 250us : options_.wan ? random.between(10ms, 75ms) : random.between(30us, 500us);
      const auto fixed =
          options_.round_trips.find({RegionId(static_cast<std::uint8_t>(a)), RegionId(static_cast<std::uint8_t>(b))});
      if (fixed != options_.round_trips.end()) one_way = fixed->second / 2;
      region_delay_[{a, b}] = region_delay_[{b, a}] = one_way;
    }
  }
  for (const NodeId node : all_) {
    const double drawn = 1.0 + (random.uniform() * 2 - 1) * options_.drift;
    const auto fixed = options_.clock_speeds.find(region_of(node));
    const double speed = fixed == options_.clock_speeds.end() ? drawn : fixed->second;
    nodes_[node] = std::make_unique<Node>(*this, node, speed);
    nodes_[node]->may_found = layout_.contains(node);
    nodes_[node]->file_regions = std::max(options_.regions, region_of(node).value);
  }
  now_ = Instant{1'000'000};
  for (const NodeId node : all_) start(node);
}

World::~World() = default;

void World::at(Duration delay, std::function<void()> event) {
  queue_.emplace(std::pair{now_ + delay, ++sequence_}, std::move(event));
}

void World::run_until(Instant end) {
  while (!queue_.empty() && !stopped_ && queue_.begin()->first.first <= end) {
    auto node = queue_.extract(queue_.begin());
    now_ = node.key().first;
    ++events_;
    node.mapped()();
  }
  if (!stopped_) now_ = std::max(now_, end);
}

bool World::up(NodeId node) const { return nodes_.at(node)->engine != nullptr; }
store::Engine* World::engine(NodeId node) { return nodes_.at(node)->engine.get(); }
store::MemKv& World::state(NodeId node) { return nodes_.at(node)->kv; }

Instant World::local_now(NodeId node) const {
  return Instant{static_cast<std::int64_t>(static_cast<double>(now_.us) * nodes_.at(node)->speed)};
}

store::EngineOptions World::engine_options(NodeId node) const {
  store::EngineOptions options;
  WorldOptions file = options_;
  file.regions = nodes_.at(node)->file_regions;
  options.layout = layout_of(file);
  options.layout.witnesses = store::first_regions(options_.witnesses, file.regions);
  // The file of who was made later names him too.
  if (!options.layout.contains(node))
    options.layout.nodes.insert(std::upper_bound(options.layout.nodes.begin(), options.layout.nodes.end(), node), node);
  options.self = node;
  options.cluster_id = "simulated";
  options.may_found = nodes_.at(node)->may_found;
  options.doubted = nodes_.at(node)->doubted;
  options.bug = options_.bug;
  options.compaction = options_.compaction;
  options.coordination_bug = options_.coordination_bug;
  options.compact_after = 30;
  options.keep = 20;
  options.whole_log_most = 15;
  options.witness_cut = 10;
  options.snapshot_chunk_bytes = 1500;
  if (options_.wan) {
    options.tick = 50ms;
    options.election_ticks = 24;
    options.heartbeat_ticks = 3;
    options.fence = {3s, 1s};
  } else {
    options.tick = 10ms;
    options.election_ticks = 15;
    options.heartbeat_ticks = 3;
    options.lease = {600ms, 100ms, 250ms, 0.03};
    options.submit_silence = 300ms;
    options.submit_pause = 10ms;
    options.read_retry = 50ms;
    options.fence = {1s, 500ms};
  }
  return options;
}

void World::start(NodeId id) {
  Node& node = *nodes_.at(id);
  if (node.engine) return;
  ++node.life;
  if (node.full) node.disk.set_space(0);
  auto log = store::Log::open(node.disk, "/log",
                              {.segment_bytes = 4000, .cache_bytes_per_group = 2000, .bug = log_bug(options_.bug)});
  if (!log) return refuse(id, log.error());
  node.log = std::move(*log);
  node.board = std::make_unique<store::FreshnessBoard>(store::kMostRegions + 1u);
  auto engine = store::Engine::open(engine_options(id), *node.log, node.kv, node, random_, node, *node.board,
                                    static_cast<std::uint64_t>(now_.us), local_now(id));
  if (!engine) {
    node.log.reset();
    return refuse(id, engine.error());
  }
  note(node_name(id) + " starts");
  node.disk_failed = node.full;
  // All of the log was read and is sound; what the kernel kept may still be lost.
  if (node.ended == End::kMachine) node.log_damaged = false;
  node.engine = std::move(*engine);
  node.engine->on_certificate_changed = [&node](const store::v1::Certificate& certificate) {
    const auto known = node.cache.find(certificate.serial());
    if (known != node.cache.end()) known->second = certificate.SerializeAsString();
  };
  node.engine->on_records_replaced = [this, &node, id] {
    node.cache.clear();
    if (on_records_replaced) on_records_replaced(id);
  };
  node.engine->on_applied = [this, id](GroupId group, LogIndex index, Term term, const std::string& data) {
    if (on_applied) on_applied(id, group, index, term, data);
  };
  node.turn_scheduled = false;
  schedule_tick(id, node.life);
  if (on_started) on_started(id);
}

void World::refuse(NodeId id, const Error& error) {
  Node& node = *nodes_.at(id);
  note(node_name(id) + " refuses to start: " + error.message);
  const bool expected = (damaged(id) && error.code == Code::kCorrupt) || (node.disk_failed && error.code == Code::kIo);
  const auto& told = expected ? on_damaged : on_refused;
  if (told) told(id, error);
}

Result<std::optional<std::string>> World::certificate(NodeId id, const std::string& serial) {
  Node& node = *nodes_.at(id);
  if (const auto known = node.cache.find(serial); known != node.cache.end()) return std::optional(known->second);
  const auto group = store::home_of_serial(serial, layout_.regions);
  if (!group) return fail(group.error());
  EC_ASSIGN(auto bytes, node.kv.get(store::state_key(*group, store::certificate_record(serial))));
  if (bytes) node.cache[serial] = *bytes;
  return bytes;
}

void World::schedule_tick(NodeId id, std::uint64_t life) {
  const Duration period = engine_options(id).tick;
  at(Duration{static_cast<std::int64_t>(static_cast<double>(period.count()) / nodes_.at(id)->speed)},
     [this, id, life] { tick(id, life); });
}

void World::tick(NodeId id, std::uint64_t life) {
  Node& node = *nodes_.at(id);
  if (!node.engine || node.life != life) return;
  if (const Duration busy = busy_for(id); busy > 0us) return at(busy, [this, id, life] { tick(id, life); });
  node.engine->tick(local_now(id));
  if (on_ticked) on_ticked(id);
  turn(id);
  schedule_tick(id, life);
}

void World::wake(NodeId id) {
  Node& node = *nodes_.at(id);
  if (!node.engine || std::exchange(node.turn_scheduled, true)) return;
  // A disk takes a moment; meanwhile more arrives and shares the turn.
  at(busy_for(id) + random_.between(20us, 600us), [this, id, life = node.life] {
    if (nodes_.at(id)->life == life) turn(id);
  });
}

Duration World::busy_for(NodeId id) const { return std::max<Duration>(0us, nodes_.at(id)->busy_until - now_); }

void World::turn(NodeId id) {
  Node& node = *nodes_.at(id);
  if (!node.engine) return;
  node.turn_scheduled = false;
  const std::uint64_t syncs = node.disk.syncs();
  const Status worked = node.engine->flush(local_now(id));
  if (node.disk.syncs() != syncs) node.busy_until = now_ + node.slow_by;
  if (!worked) return stopped_by_itself(id, worked.error());
  founded_ = founded_ || !node.engine->recovering();
  if (on_note) note_leaders(id);
  if (on_worked) on_worked(id);
}

void World::stopped_by_itself(NodeId id, const Error& error) {
  Node& node = *nodes_.at(id);
  if (node.disk.powered_off()) return end(id, End::kMachine);
  note(node_name(id) + " stops by itself: " + error.message);
  const bool expected = damaged(id) || (node.disk_failed && error.code == Code::kIo);
  if (!expected && on_refused) on_refused(id, error);
  if (!expected || error.code != Code::kCorrupt) return end(id, End::kProcess);
  // To start again would end the same way: the message says that its disk is to be replaced.
  go_down(id, End::kProcess);
  if (on_damaged) on_damaged(id, error);
}

void World::note_leaders(NodeId id) {
  Node& node = *nodes_.at(id);
  for (std::uint32_t g = 0; node.engine->has(GroupId{g}); ++g) {
    const bool leads = node.engine->group(GroupId{g}).leads();
    if (leads == node.led.contains(g)) continue;
    if (leads) {
      node.led.insert(g);
      note(node_name(id) + " leads group " + std::to_string(g) + " in term " +
           std::to_string(node.engine->group(GroupId{g}).status().term.value) + " from index " +
           std::to_string(node.engine->group(GroupId{g}).status().last.value));
    } else {
      node.led.erase(g);
      note(node_name(id) + " does not lead group " + std::to_string(g) + " any more, its log ends at " +
           std::to_string(node.engine->group(GroupId{g}).status().last.value));
    }
  }
}

void World::end(NodeId id, End how) {
  if (!up(id)) return;
  go_down(id, how);
  if (on_down) on_down(id);
}

void World::go_down(NodeId id, End how) {
  Node& node = *nodes_.at(id);
  note(node_name(id) + (how == End::kProcess ? " ends" : " loses power"));
  ++node.life;
  node.ended = how;
  // What was stored wrongly stays so.
  node.erred = node.erred && node.engine->has_erred();
  if (node.erred) EC_CHECK(node.kv.flush().has_value(), "memory can be flushed");
  // Destroyed without a farewell; what its clients waited for is never answered.
  node.busy_until = now_;
  node.engine.reset();
  node.board.reset();
  node.log.reset();
  node.cache.clear();
  node.led.clear();
  if (how == End::kMachine) {
    node.disk.crash(random_);
  } else {
    node.disk.end_process();
  }
  node.kv.crash(random_);  // it is never synced, and lies in the process's own memory until it is flushed
  // Of a process that ends, its peers hear at once; of a machine without power, nothing, unless it was told to go down.
  if (how == End::kProcess || random_.chance(0.5)) {
    for (const NodeId other : all_) {
      if (other != id) break_connection(other, id);
    }
  }
}

void World::break_connection(NodeId node, NodeId gone) {
  if (cuts_.contains({gone, node})) return;
  at(delay(gone, node), [this, node, gone] {
    if (!up(node)) return;
    engine(node)->unreachable(gone);
    wake(node);
  });
}

void World::power_off_in_operation(NodeId id, std::uint64_t operation) {
  nodes_.at(id)->disk.power_off_after(operation);
}

Status World::reform(NodeId id, const std::vector<NodeId>& voters) {
  Node& node = *nodes_.at(id);
  EC_CHECK(!node.engine, "a node that runs is not made anew");
  EC_ASSIGN(const auto log, store::Log::open(node.disk, "/log", {}));
  EC_TRY(store::reform(*log, layout_, voters, "person", node.now(), "unknown"));
  return {};
}

Status World::join(NodeId id, NodeId survivor) {
  const store::v1::Membership& record = engine(survivor)->membership().view()->record;
  EC_CHECK(!nodes_.at(id)->engine && !record.reformations().empty(), "a stopped node joins what was made anew");
  EC_ASSIGN(const auto log, store::Log::open(nodes_.at(id)->disk, "/log", {}));
  return store::join(*log, *record.reformations().rbegin());
}

void World::wipe(NodeId id) {
  end(id, End::kMachine);
  Node& node = *nodes_.at(id);
  node.disk = FakeDisk{};
  node.log_damaged = node.erred = node.doubted = false;
  node.may_found = node.may_found && !founded_;  // before, whoever sets the cluster up makes the node once more
  store::WriteBatch everything;
  everything.remove_range("", std::string(3, '\xff'));
  EC_CHECK(node.kv.write(everything).has_value() && node.kv.flush().has_value(), "memory can be cleared");
}

void World::new_file(NodeId id) {
  nodes_.at(id)->file_regions = static_cast<std::uint8_t>(options_.regions + options_.added);
}

void World::slow_disk(NodeId id, Duration by) { nodes_.at(id)->slow_by = by; }

void World::fill_disk(NodeId id, std::optional<std::uint64_t> bytes_left) {
  Node& node = *nodes_.at(id);
  node.full = bytes_left.has_value();
  node.disk_failed = node.disk_failed || node.full;
  node.disk.set_space(bytes_left);
}

void World::fail_sync(NodeId id) {
  nodes_.at(id)->disk_failed = true;
  nodes_.at(id)->disk.fail_next_sync();
}

void World::lose_write(NodeId id) {
  nodes_.at(id)->log_damaged = true;
  nodes_.at(id)->disk.lose_next_write();
}

bool World::rot_log(NodeId id, std::uint64_t where) {
  const bool done = nodes_.at(id)->disk.rot(where);
  nodes_.at(id)->log_damaged = nodes_.at(id)->log_damaged || done;
  return done;
}

bool World::rot_state(NodeId id, std::uint64_t where) { return nodes_.at(id)->kv.rot(where); }

void World::err(NodeId id) {
  nodes_.at(id)->erred = true;
  nodes_.at(id)->engine->err_once();
}

void World::doubt(NodeId id) { nodes_.at(id)->doubted = true; }

void World::trust(NodeId id) { nodes_.at(id)->doubted = false; }

bool World::doubted(NodeId id) const { return nodes_.at(id)->doubted; }

bool World::erred(NodeId id) const { return nodes_.at(id)->erred; }

bool World::damaged(NodeId id) const {
  const Node& node = *nodes_.at(id);
  return node.log_damaged || node.erred || node.kv.rots();
}

void World::forget_rot(NodeId id) { nodes_.at(id)->kv.forget_rot(); }

Duration World::delay(NodeId from, NodeId to) {
  const Duration base = region_delay_.at({region_of(from).value, region_of(to).value});
  Duration total =
      base +
      Duration{static_cast<std::int64_t>(random_.uniform() * options_.jitter * static_cast<double>(base.count()))};
  if (random_.chance(options_.late)) total += random_.between(0ms, options_.late_by);
  return total;
}

void World::transmit(NodeId from, NodeId to, const store::v1::Batch& batch) {
  const int messages = batch.messages_size();
  if (options_.split > 0 && messages > 1 && random_.chance(options_.split)) {
    const int first = 1 + static_cast<int>(random_.below(static_cast<std::uint64_t>(messages) - 1));
    store::v1::Batch halves[2]{batch, batch};
    halves[0].mutable_messages()->DeleteSubrange(first, messages - first);
    halves[1].mutable_messages()->DeleteSubrange(0, first);
    for (const auto& half : halves) carry(from, to, half);
    return;
  }
  carry(from, to, batch);
}

void World::carry(NodeId from, NodeId to, const store::v1::Batch& batch) {
  if (cuts_.contains({from, to})) return;
  if (random_.chance(options_.loss)) {
    if (random_.chance(0.2)) break_connection(from, to);
    return;
  }
  // What a turn says leaves before or after its sync; a slow disk is taken to hold up all of it.
  at(nodes_.at(from)->slow_by + delay(from, to), [this, from, to, copy = batch] { arrive(from, to, copy); });
}

void World::arrive(NodeId from, NodeId to, const store::v1::Batch& batch) {
  Node& node = *nodes_.at(to);
  if (!node.engine) return;
  if (const Duration busy = busy_for(to); busy > 0us) {
    return at(busy, [this, from, to, copy = batch] { arrive(from, to, copy); });
  }
  node.engine->receive(from, batch, local_now(to));
  wake(to);
}

std::string node_name(NodeId node) {
  return std::to_string(region_of(node).value) + "." + std::to_string(node.value % 256);
}

std::string serial_name(std::string_view serial) {
  if (serial.size() != 16) return "no serial";
  const auto digit = serial.find_first_not_of('0', 1);
  return std::to_string(static_cast<int>(serial[0])) + "-" +
         std::string(serial.substr(std::min<std::size_t>(digit, 15)));
}

}  // namespace evercert::sim
