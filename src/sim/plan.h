// SPDX-License-Identifier: Apache-2.0
// What goes wrong in a run, as data: all of it is known before the run begins, whether a scenario file lists it or the
// seed draws it, so that it can be printed, cut down and run again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/faults.h"
#include "sim/operator.h"

namespace evercert::sim {

struct PlannedFault {
  enum class Kind {
    kKill,          // machines stop dead; what was not synced is lost
    kStop,          // processes end; the kernel keeps what it was handed
    kWipe,          // a disk is lost
    kTear,          // power is lost in the middle of a write
    kSlowDisk,      // every sync takes longer
    kFullDisk,      // no more space
    kFailSync,      // the next fsync fails with EIO
    kLoseWrite,     // a write is acknowledged and never reaches the disk
    kRotLog,        // a bit of the log flips
    kRotState,      // a record of the state fails its checksum
    kErr,           // what a state machine stores next is another than it should be
    kIsolate,       // all links of a region
    kCut,           // one way between two regions
    kBridge,        // both ways between two regions, which both see the others
    kHeal,          // every link
    kFence,         // an operator fences a region, for good when `until_healed`
    kDrain,         // or drains it
    kMembers,       // or says which nodes are to be members
    kAddRegion,     // or adds a region, while the nodes are given the file that names it
    kRemoveRegion,  // or takes one away, for good
  } kind{};
  Duration at{};  // after the start of the run
  Duration lasting = 3s;
  bool until_healed = false;      // of links, instead of `lasting`
  std::optional<Duration> every;  // again and again, until `until`
  Duration until{};
  RegionId region;                   // kCut: from here
  std::optional<std::uint8_t> zone;  // this node of the region alone
  RegionId to;                       // kCut, kBridge
  Duration by{};                     // kSlowDisk
  // kTear: the how-manyth operation from then; kRotLog: which bit; kRotState: which record; kFullDisk: bytes left;
  // kAddRegion: in which order what is done.
  std::uint64_t where = 0;
  std::vector<NodeId> members;  // kMembers, ascending
};
// The word of a scenario file.
std::string_view to_string(PlannedFault::Kind kind);
std::string to_text(const PlannedFault& fault);

// Every repetition a fault of its own, in order of time.
std::vector<PlannedFault> each(const std::vector<PlannedFault>& faults);

class Plan {
 public:
  Plan(World& world, Faults& faults, Operator& person, std::vector<PlannedFault> planned)
      : world_(world), faults_(faults), operator_(person), planned_(std::move(planned)) {}
  void start();
  void stop() { running_ = false; }

 private:
  void strike(const PlannedFault& fault);
  void strike_disk(const PlannedFault& fault, NodeId node);
  void lose_disk(NodeId node, Duration lasting);
  void add_region(const PlannedFault& fault);

  World& world_;
  Faults& faults_;
  Operator& operator_;
  std::vector<PlannedFault> planned_;
  bool running_ = true;
};

}  // namespace evercert::sim
