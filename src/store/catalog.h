// SPDX-License-Identifier: Apache-2.0
// The state machine of a group: what each command does to the records. Deterministic: the same commands in the same
// order give the same state on every replica. No clock, no randomness, no I/O but the transaction given.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "coordination/machine.h"
#include "store/kv/kv.h"
#include "store/membership.h"
#include "store/planted.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

// The changes of a run of commands, over what the state holds: later commands see what earlier ones did.
class Transaction {
 public:
  using Read = std::function<Result<std::optional<std::string>>(std::string_view key)>;
  using Scan = std::function<Status(const std::string& from, const std::string& to, const KvVisitor& visit)>;
  explicit Transaction(Read read, Scan scan = {}) : read_(std::move(read)), scan_(std::move(scan)) {}

  Result<std::optional<std::string>> get(const std::string& key) const;
  // Keys in [from, to), in order.
  Status scan(const std::string& from, const std::string& to, const KvVisitor& visit) const;
  void put(std::string key, std::string value);
  void remove(std::string key);
  void remove_range(std::string from, std::string to);
  // All changes as one batch; nothing is left, and nothing remembered.
  WriteBatch take_changes();

  // From now on what is put and removed is also written down, in order.
  void keep_journal() { keeps_journal_ = true; }
  // What was, since the last call.
  std::string take_journal() { return std::exchange(journal_, {}); }
  // A fault of the machine's memory, for the simulator: the next value that is put is another than it should be.
  void err_once() { errs_ = true; }

 private:
  bool in_removed_range(std::string_view key) const;
  void note(char what, std::string_view one, std::string_view other);

  Read read_;
  Scan scan_;
  // What the last few reads found, which nobody changes meanwhile: a command looks at a record, and then changes it.
  struct Found {
    std::string key;
    std::optional<std::string> value;
  };
  mutable std::array<Found, 4> found_;
  mutable std::size_t next_found_ = 0;
  std::vector<std::pair<std::string, std::string>> removed_ranges_;  // before changes_
  std::map<std::string, std::optional<std::string>, std::less<>> changes_;
  bool keeps_journal_ = false, errs_ = false;
  std::string journal_;
};

struct CatalogOptions {
  // Of the beginning. Which were added, the global group's record says; a home group, whose order is its own, must
  // not depend on it.
  std::uint8_t founding = 0;
  Bug bug = Bug::kNone;
  coordination::Bug coordination_bug = coordination::Bug::kNone;
  EpochFloors* floors = nullptr;  // as the state says and kept so; without them the state is looked at
  RegionSet witnesses = 0;        // since the beginning
};

// What a run of commands did, for those who keep copies or wait for news.
struct AppliedChanges {
  std::vector<v1::Certificate> certificates;  // stored or revoked
  coordination::Effects coordination;
  std::optional<v1::Membership> membership;  // as it is now
  bool floors = false;                       // one was raised
};

// Applies one command of `group`. The Outcome is the client's answer (a refusal is an Outcome too, and leaves the
// state as it was). An error (kCorrupt, kIo) means that the state could not be read: the node must stop applying.
// What was changed is added to `changes`; a certificate may be moved out of `command`.
Result<v1::Outcome> apply_command(const CatalogOptions& options, GroupId group, v1::Command& command,
                                  Transaction& state, AppliedChanges& changes);

// Records inside a group's range that are not named in keys.h.
std::string revoked_index_record(RegionId issuer, std::string_view serial);  // value: decimal not_after
std::string certificate_count_record();                                      // value: decimal
std::string crl_number_record(RegionId issuer);

}  // namespace evercert::store
