// SPDX-License-Identifier: Apache-2.0
// What the failover controller speaks of: what it is told (observations, each with its age), what may be done without a
// person (policy), what is going on (incidents, their plans and steps), and what it writes down. No I/O; times are this
// process's monotonic ones. See docs/failover.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "traffic/shares/shares.h"

namespace evercert::recovery {

enum class Kind : std::uint8_t { kRegion, kZone, kComponent, kPartition, kDatabase };
inline constexpr Kind kKinds[] = {Kind::kRegion, Kind::kZone, Kind::kComponent, Kind::kPartition, Kind::kDatabase};

// --- what is written down of what is done

// By whom something was signed: the SHA-256 of the certificate, hexadecimal, and the signature, Base64.
struct Signature {
  std::string signer, value;
};

struct LogEntry {
  std::uint64_t number = 0;  // from 1, without a gap
  std::int64_t at_ms = 0;    // wall time of who wrote it
  std::string by;            // node
  std::int64_t token = 0;
  std::string incident;  // "F-3", or empty
  std::string text, evidence;
  std::string previous, hash;  // SHA-256, hexadecimal, see record.h
  Signature signature;
};

// What the oldest entry that is kept follows, when earlier ones were removed: the last of those, and who removed it.
struct LogAnchor {
  LogEntry last;
  std::string by;  // node
  std::int64_t at_ms = 0;
  Signature signature;
};

// --- what is seen

// What one node says of itself and of the others, at one moment.
struct Observation {
  NodeId node;
  std::map<RegionId, double> scores;         // health of the regions in its eyes, 0 to 100
  std::map<RegionId, std::string> out;       // regions that are out by its verdict, and why
  std::map<NodeId, double> nodes;            // health of the nodes
  std::map<std::string, double> components;  // its own: database, HSM, disk, clock, ...
  std::map<NodeId, Duration> silent;         // how long it has not heard them on the store's connections
  struct Group {
    GroupId group;
    NodeId leader;  // 0: none known
    Duration leaderless{0};
    Duration lag_p99{0};
  };
  std::vector<Group> groups;
  struct Load {
    std::uint64_t in_flight = 0;
    double rate = 0;             // requests a second
    double errors = 0;           // share of them that the node could not answer (5xx), 0 to 1
    Duration p99{0};             // of answers
    double busy = 0, cores = 0;  // processors in use, and that there are
    // All of the region's edges together; 0 cores: not known.
    double edge_busy = 0, edge_cores = 0;
    // By the token that keys lie in, a second, and the most that it has shown; 0: there is none.
    double signs = 0, most_signs = 0;
    int edges = 0, edges_answering = 0;  // of its region; 0 edges: not known
  };
  Load load;
  int extra = 0, spare = 0;  // workers that its capacity driver runs, and could run beside those
  // How many it is to run, by the word of the controller with that token; 0: by nobody's.
  int wanted = 0;
  std::int64_t wanted_token = 0;
  std::uint64_t queued = 0;  // operations that wait for a majority
  bool queue_in_order = true;
};

struct Seen {
  Observation what;
  Instant at;  // when it came; what is in it was true at most a round trip before
};

enum class Standing : std::uint8_t { kServing, kDraining, kFenced, kOther };

// A region in the store's membership record.
struct Member {
  Standing standing = Standing::kServing;
  std::string by;           // a person, "attested", or kController
  bool carried_out = true;  // its fence stands in all home groups
  // The last word of a person about it, unless a controller has changed it since: how it is to stand, and the epoch of
  // that change. An attested fence interrupts it and does not end it. 0: there is none.
  struct Word {
    std::uint64_t epoch = 0;
    Standing wanted = Standing::kServing;
    std::string by;
  };
  Word word;
};
// Whoever the controller's changes of the membership are by.
inline constexpr std::string_view kController = "failover controller";

struct Cluster {
  std::map<RegionId, std::string> regions;  // that keep records
  std::map<NodeId, RegionId> nodes;
};

struct Picture {
  std::map<NodeId, Seen> seen;
  std::map<RegionId, Member> members;
  std::uint64_t epoch = 0;
  std::optional<Instant> members_at;  // when the record was surely up to date last
  traffic::Shares shares;
  int extra_workers = 0;         // of the capacity driver, by its own word
  bool can_add = false;          // there is one, and its limits allow more
  std::vector<LogEntry> oldest;  // of the log: some, in order, when it was looked at
};

// --- what may be done

enum class Mode : std::uint8_t { kAutomatic, kApproval, kManual };

struct Policy {
  std::map<Kind, Mode> modes{{Kind::kRegion, Mode::kAutomatic},
                             {Kind::kZone, Mode::kAutomatic},
                             {Kind::kComponent, Mode::kAutomatic},
                             {Kind::kPartition, Mode::kAutomatic},
                             {Kind::kDatabase, Mode::kAutomatic}};
  int regions_left = 2;      // automatically, so many regions at least go on serving; a person may go down to one
  double utilisation = 0.8;  // and what is left is busier than this at today's load: a person decides
  Duration stale = 5s;       // what is older says nothing
  Duration confirm = 2s;     // so long two regions must agree
  Duration pause = 30s;      // between two changes of a region's traffic, at least
  Duration well = 30s;       // so long all must be well before traffic returns; doubled each time it did not hold
  Duration stage = 30s;      // traffic returns in stages; so long each
  std::vector<int> stages{5, 25, 50, 100};
  Duration requests = 30s;    // patience with requests in flight
  Duration approval = 900s;   // so long a plan may be approved; then it is made anew
  double slo_errors = 0.01;   // of a region while traffic returns: a larger share of errors, or
  Duration slo_p99 = 1000ms;  // a larger 99th percentile, ends the return
  // Of the log, what is older, and what is more, is removed; never one of the last hundred.
  std::int64_t log_days = 400, log_entries = 20'000;
};

// --- what is going on

enum class Phase : std::uint8_t { kConfirmed, kApproval, kExecuting, kStabilised, kReturning, kClosed };

enum class StepKind : std::uint8_t {
  kAddCapacity,
  kWarm,           // others answer for what the region has issued: OCSP, CRL
  kDivert,         // no traffic is led there any more: to a region, or a node
  kAwaitRequests,  // what is in flight there ends
  kConfirmFence,   // the store has fenced it, everywhere
  kDrain,          // it is drained in the store: its leaders go elsewhere, /readyz says so
  kLeaders,        // every group is led, from elsewhere
  kQueues,         // what waits for a majority is in order
  kRedundancy,     // the rest of the region does the work
  kReadmit,        // it serves again, in the store
  kShare,          // a share of its traffic returns, and is watched
  kReleaseCapacity,
};

enum class StepState : std::uint8_t { kWaiting, kRunning, kDone, kSkipped, kFailed };

struct Step {
  StepKind kind = StepKind::kLeaders;
  RegionId region;
  NodeId node;    // of kDivert and kShare, when it is about a node's traffic
  int share = 0;  // of kDivert and kShare, in per cent
  StepState state = StepState::kWaiting;
  std::string evidence;  // why it began, ended, was skipped
  Instant begun, ended;
  // Of a change of the membership that is under way: the epoch that it compares with. 0: none is. Whoever has begun it
  // brings it to an end before he decides anything else; his successor need not, whom the store obeys alone.
  std::uint64_t epoch = 0;
  int attempts = 0;
};

struct Incident {
  std::uint64_t id = 0;
  Kind kind = Kind::kRegion;
  std::string subject;  // "eu-central-1", "eu-central-1/2 HSM", "us-east-1 -> us-west-2"
  RegionId region;      // that is to be relieved, or is concerned
  NodeId node;          // of a zone's or component's; else 0
  Phase phase = Phase::kConfirmed;
  std::uint32_t plan = 1;  // which plan of this incident: an approval is of one
  std::vector<Step> steps;
  std::string evidence;  // what was seen when it was confirmed
  std::string note;      // what it waits for now, for a person
  std::string outcome;   // of a closed one
  std::string ordered_by, approved_by;
  bool alive = false;           // the region answers, and is not well
  bool undo = false;            // a person wants it back,
  bool at_once = false;         // and without stages
  std::string ended_by;         // a person has changed the membership since, and the plan is over: who, and how
  std::uint32_t fell_back = 0;  // how often its return was broken off
  Instant opened, changed;      // changed: the phase
  // When it began, by the evidence: when it was last heard, or first found ill. opened: it was confirmed then.
  // relieved: it was seen then that no traffic is led there any more; none: it has not been, yet.
  Instant began, relieved;
};

// All that a controller needs to go on where another has stopped.
struct State {
  std::vector<Incident> incidents;  // open ones, and the last closed
  std::uint64_t next_incident = 1;
  std::uint64_t logged = 0;    // the number of the last entry
  std::string log_hash;        // and its hash
  std::uint64_t log_from = 1;  // the first one that is kept
  struct Change {
    Instant at;
  };
  std::map<RegionId, Change> changes;     // the last change of each region's traffic
  std::map<NodeId, Change> node_changes;  // and of each node's
  // The last word of a person about each region that was taken into account, and when it was seen first.
  struct Heard {
    std::uint64_t epoch = 0;
    Instant at;
  };
  std::map<RegionId, Heard> words;
};

// What a person asks for.
struct Order {
  enum class Verb : std::uint8_t { kPlan, kApprove, kReject, kAbort };
  Verb verb = Verb::kPlan;
  std::string key;  // in the key space
  RegionId region;  // of kPlan
  std::uint64_t incident = 0;
  std::uint32_t plan = 0;  // of an approval: which plan
  bool at_once = false;    // of kAbort: all traffic returns without stages
  std::string by, reason;
  std::int64_t at_ms = 0;
};

std::string_view to_string(Kind kind);
std::string_view to_string(Phase phase);
std::string_view to_string(StepKind kind);
std::string_view to_string(StepState state);
std::string_view to_string(Mode mode);
std::string_view to_string(Standing standing);
inline std::string name_of(const Incident& incident) { return "F-" + std::to_string(incident.id); }
// "stop sending traffic to eu-central-1": of a step, for a person.
std::string describe(const Step& step, const Cluster& cluster);

}  // namespace evercert::recovery
