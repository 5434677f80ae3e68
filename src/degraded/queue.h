// SPDX-License-Identifier: Apache-2.0
// Work that waits for a majority: what is accepted, in which order it is carried out, what became of it. Decides alone;
// who owns it makes the changes durable before anybody is told of them, and carries the operations out. Not
// thread-safe.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "degraded/proto/queue.pb.h"

namespace evercert::degraded {

// Planted by tests: one per rule that must hold. Production code never sets one.
enum class QueueBug {
  kNone,
  kAnswerBeforeSync,  // "accepted" is said before it is on the disk
  kNewKeyPerAttempt,  // a repetition is not told from another request: carried out twice
  kForgetUndone,      // an attempt without an outcome counts as done
  kFirstComeFirst,    // no order among the kinds
  kBeginTwice,        // what is under way is begun again
};

struct QueueLimits {
  std::size_t most = 10'000;       // operations that wait; a quarter of it is kept for revocations
  std::uint64_t bytes = 16 << 20;  // of those that wait, as they lie on the disk; likewise
  std::size_t in_flight = 16;
  Duration first_pause = 1s, longest_pause = 30s;  // between attempts that came to nothing
  // What has ended is told of for so long, and of no more than so many.
  Duration keep_ended = 7 * 24h;
  std::size_t most_ended = 10'000, most_reports = 100;
  QueueBug bug = QueueBug::kNone;
};

struct Moment {
  WallTime wall;  // deadlines outlive a process
  Instant mono;   // pauses do not
};

// A record of the disk: nullopt takes it away.
struct Change {
  std::string key;
  std::optional<std::string> value;
};

struct QueueSummary {
  std::size_t waiting = 0;
  std::uint64_t bytes = 0;
  std::map<v1::Kind, std::size_t> by_kind;
  std::int64_t oldest_ms = 0;                // when the oldest was queued; 0: none
  std::map<v1::State, std::uint64_t> ended;  // in this life of the node
};

class Queue {
 public:
  // From the records that the disk has kept. kCorrupt: one does not parse or has no sense.
  static Result<Queue> restore(QueueLimits limits, const std::map<std::string, std::string>& records);

  struct Accepted {
    v1::Operation operation;
    bool repeated = false;  // it was there before, under the same key
  };
  // `wanted` has all that a caller decides: id, kind, caller, key, digest, repeat, deadline, what is to be done. `why`
  // work is queued now. kConflict: the key was used for another request; kUnavailable: full.
  Result<Accepted> offer(v1::Operation wanted, const std::string& why, Moment now);
  // What is to be attempted now. Revocations go first; nothing of a later kind begins while something of an earlier one
  // is under way or could be. Each is marked as doubtful, which must be durable before the attempt.
  std::vector<v1::Operation> begin(Moment now);
  // What an attempt came to: the serial number; a refusal that asking again would not change; anything else is tried
  // again, under the same key, after a pause.
  void attempted(const std::string& id, const Result<std::string>& outcome, Moment now);
  // What has waited too long is reported so; results that are old enough are forgotten.
  void expire(Moment now);
  // kNotFound; kConflict: it is under way or has ended.
  Result<v1::Operation> drop(const std::string& id, const std::string& by, Moment now);

  // What has changed since the last call, to be written at once, all or nothing.
  std::vector<Change> take_changes();
  bool changed() const { return !dirty_.empty(); }
  // Operations that have ended and reconciliations that are complete, since the last call.
  std::vector<v1::Operation> take_ended() { return std::exchange(newly_ended_, {}); }
  std::vector<v1::Reconciliation> take_reports() { return std::exchange(newly_reported_, {}); }

  std::optional<v1::Operation> find(const std::string& id) const;
  // In the order in which they would begin.
  std::vector<v1::Operation> waiting(std::size_t limit) const;
  // The newest first.
  std::vector<v1::Reconciliation> reports() const;
  QueueSummary summary() const;
  std::size_t waiting_count() const { return waiting_.size(); }

 private:
  using Place = std::pair<int, std::uint64_t>;  // class, sequence
  struct Waiting {
    std::string id;
    std::uint64_t bytes = 0;  // as it counts
  };
  struct Attempts {
    bool under_way = false, doubtful_before = false;
    Duration pause{};
    Instant not_before;
  };
  explicit Queue(QueueLimits limits) : limits_(limits) {}
  Status take(const std::string& key, const std::string& bytes);
  Place place_of(const v1::Operation& operation) const;
  void index(const v1::Operation& operation);
  Status check_room(const v1::Operation& wanted) const;
  v1::Reconciliation& open_report(const std::string& why, WallTime now);
  v1::Tally& tally(v1::Reconciliation& report, v1::Kind kind);
  void end(v1::Operation& operation, v1::State state, std::string detail, WallTime now);
  void forget(const std::string& id);
  void touch(const v1::Operation& operation);
  void touch(const v1::Reconciliation& report);

  QueueLimits limits_;
  std::map<std::string, v1::Operation> operations_;  // by id
  std::map<Place, Waiting> waiting_;
  std::map<v1::Kind, std::size_t> waiting_by_kind_;
  std::map<std::string, Attempts> attempts_;                           // of this life
  std::map<std::pair<std::string, std::string>, std::string> by_key_;  // caller, key: id
  std::set<std::pair<std::int64_t, std::string>> ended_;               // when, id
  std::map<std::uint64_t, v1::Reconciliation> reports_;                // by number
  std::set<std::string> dirty_;                                        // keys of records
  std::vector<v1::Operation> newly_ended_;
  std::vector<v1::Reconciliation> newly_reported_;
  std::map<v1::State, std::uint64_t> ended_counts_;
  std::uint64_t sequence_ = 0, bytes_ = 0;
  std::size_t under_way_ = 0;
};

std::string_view to_string(v1::Kind kind);
std::string_view to_string(v1::State state);
// "2 revocations done, 1 issuance refused; ...": for the log and for people.
std::string describe(const v1::Reconciliation& report);

}  // namespace evercert::degraded
