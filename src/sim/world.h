// SPDX-License-Identifier: Apache-2.0
// A whole cluster of stores in one thread on virtual time: the production engine, log and state machine on disks,
// clocks and links that fail as told. One seed decides everything.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/fake_disk.h"
#include "sim/seeded_random.h"
#include "store/engine.h"
#include "store/kv/mem_kv.h"

namespace evercert::sim {

// Parameters of a run; draw() takes all of them from the seed ("swarm"), a scenario file may fix some.
struct WorldOptions {
  std::uint8_t regions = 3;
  std::uint8_t zones = 1;
  std::uint8_t spares = 0;         // further nodes of each region that are there and no members at the beginning
  std::uint8_t added = 0;          // further regions, whose nodes are there: an operator may add them
  store::RegionSet witnesses = 0;  // of the regions, the added ones too: these vote and keep no records
  bool wan = true;                 // time-outs and delays of the emulated WAN; otherwise of loopback
  double drift = 0.01;             // clocks run faster or slower by at most this share
  double loss = 0.01;              // of batches
  double late = 0.02;              // of batches arrive up to late_by later
  double split = 0;                // of batches leave as two, each with a fate of its own
  Duration late_by = 3s;
  double jitter = 0.3;                                            // of the link's delay
  std::map<std::pair<RegionId, RegionId>, Duration> round_trips;  // lower region first; others are drawn
  std::map<RegionId, double> clock_speeds;                        // others are drawn within `drift`
  store::Bug bug = store::Bug::kNone;
  coordination::CompactionPolicy compaction;
  coordination::Bug coordination_bug = coordination::Bug::kNone;

  static WorldOptions draw(SeededRandom& random);
};

store::Layout layout_of(const WorldOptions& options);           // of the beginning
std::vector<NodeId> all_nodes_of(const WorldOptions& options);  // ascending

class World {
 public:
  World(WorldOptions options, SeededRandom& random);
  ~World();

  // --- time
  Instant now() const { return now_; }                                            // true time, which no node sees
  static constexpr WallTime wall_start() { return WallTime{1'700'000'000'000}; }  // what wall clocks say at Instant{0}
  void at(Duration delay, std::function<void()> event);
  // Runs events until `end`, or until stop() was called.
  void run_until(Instant end);
  void stop() { stopped_ = true; }

  // --- nodes
  const store::Layout& layout() const { return layout_; }
  // An operator was told that the cluster has one more region.
  void region_added() { ++layout_.regions; }
  // Or that one of them is none any more.
  // An operator is about to take it away: whoever is left is to be well.
  void region_leaves(RegionId region) { leaving_.insert(region); }
  bool leaves(RegionId region) const { return leaving_.contains(region); }
  void region_removed(RegionId region) { removed_.insert(region); }
  bool removed(RegionId region) const { return removed_.contains(region); }
  // From its next start on the node's cluster file names all regions that may be added.
  void new_file(NodeId node);
  const std::vector<NodeId>& nodes() const { return all_; }  // whether they are members or not
  // What an operator was last told that it is done: these are to have everything, in the end.
  const std::vector<NodeId>& members() const { return members_; }
  bool is_witness(NodeId node) const { return layout_.is_witness(region_of(node)); }
  void set_members(std::vector<NodeId> members) { members_ = std::move(members); }
  bool up(NodeId node) const;
  store::Engine* engine(NodeId node);  // nullptr when down
  store::MemKv& state(NodeId node);
  // The record as a node's interfaces would see it: from a cache that the engine keeps right, or from the state.
  Result<std::optional<std::string>> certificate(NodeId node, const std::string& serial);
  Instant local_now(NodeId node) const;
  // Lets the engine work off what it was given, soon.
  void wake(NodeId node);
  void start(NodeId node);
  // Of a process that ends, the kernel keeps what it was handed; a machine loses what was not synced.
  enum class End { kProcess, kMachine };
  void end(NodeId node, End how);
  // The machine goes off in the middle of the n-th disk operation from now.
  void power_off_in_operation(NodeId node, std::uint64_t operation);
  // What a person does to a stopped node when a majority is lost for good (store/reform.h).
  Status reform(NodeId node, const std::vector<NodeId>& voters);
  // A node whose disk is empty is to be part of what `survivor` goes on with.
  Status join(NodeId node, NodeId survivor);
  // The disk is lost too. The node starts empty.
  void wipe(NodeId node);

  // --- disks
  // From now on each sync takes so much longer; the node does nothing else meanwhile.
  void slow_disk(NodeId node, Duration by);
  void fill_disk(NodeId node, std::optional<std::uint64_t> bytes_left);
  void fail_sync(NodeId node);
  void lose_write(NodeId node);
  // False when there is nothing that could rot.
  bool rot_log(NodeId node, std::uint64_t where);
  bool rot_state(NodeId node, std::uint64_t where);
  // A person holds its state for wrong: from its next start on, until its disk is emptied.
  void doubt(NodeId node);
  void trust(NodeId node);
  bool doubted(NodeId node) const;
  bool erred(NodeId node) const;
  // A fault of its memory: what its state machine stores next is another than it should be.
  void err(NodeId node);
  void forget_rot(NodeId node);
  // It may hold something else than was written.
  bool damaged(NodeId node) const;

  // --- links (directed)
  void cut(NodeId from, NodeId to) { cuts_.insert({from, to}); }
  void mend(NodeId from, NodeId to) { cuts_.erase({from, to}); }
  void heal() { cuts_.clear(); }

  // --- observers
  std::function<void(NodeId)> on_ticked;  // before the turn that follows, which may be its last
  std::function<void(NodeId)> on_worked;  // after every turn of a node
  std::function<void(NodeId, GroupId, LogIndex, Term, const std::string&)> on_applied;
  std::function<void(NodeId)> on_started, on_down;
  std::function<void(NodeId)> on_records_replaced;  // a snapshot took the place of a group's records
  // A node stops by itself or refuses to start, though its disk did nothing but lose what was not synced.
  std::function<void(NodeId, const Error&)> on_refused;
  // It refuses to start because of what its disk did.
  std::function<void(NodeId, const Error&)> on_damaged;
  // What happens, for a reader. Not set: nobody reads.
  std::function<void(const std::string&)> on_note;
  void note(const std::string& text) const {
    if (on_note) on_note(text);
  }

  std::uint64_t events() const { return events_; }
  const WorldOptions& options() const { return options_; }

 private:
  struct Node;
  void schedule_tick(NodeId node, std::uint64_t life);
  void tick(NodeId node, std::uint64_t life);
  void turn(NodeId node);
  // `node` learns, after the way from `gone`, that their connection broke.
  void break_connection(NodeId node, NodeId gone);
  void transmit(NodeId from, NodeId to, const store::v1::Batch& batch);
  void carry(NodeId from, NodeId to, const store::v1::Batch& batch);
  void arrive(NodeId from, NodeId to, const store::v1::Batch& batch);
  // How long the node's disk still keeps it from doing anything.
  Duration busy_for(NodeId node) const;
  Duration delay(NodeId from, NodeId to);
  store::EngineOptions engine_options(NodeId node) const;
  void refuse(NodeId node, const Error& error);
  void go_down(NodeId node, End how);
  void stopped_by_itself(NodeId node, const Error& error);
  void note_leaders(NodeId node);

  WorldOptions options_;
  SeededRandom& random_;
  store::Layout layout_;
  std::vector<NodeId> all_, members_;
  Instant now_;
  std::set<RegionId> leaving_;
  std::set<RegionId> removed_;
  bool stopped_ = false;
  bool founded_ = false;  // a node has been part of the cluster
  std::uint64_t events_ = 0;
  std::uint64_t sequence_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> queue_;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::map<std::pair<int, int>, Duration> region_delay_;
};

std::string node_name(NodeId node);                // "2.1": region, zone
std::string serial_name(std::string_view serial);  // "2-17"

}  // namespace evercert::sim
