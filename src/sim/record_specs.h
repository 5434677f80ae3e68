// SPDX-License-Identifier: Apache-2.0
// Sequential specifications of the records that the simulator's clients use, and the histories they leave. Words of
// the operations: see the functions in record_specs.cc.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "sim/linearizability.h"

namespace evercert::sim {

enum class RecordKind {
  kCertificate,  // issue -> ok | repeated | conflict; revoke -> ok | repeated | conflict | missing; read
  kAccount,      // put EXPECTED VALUE -> ok | conflict; read: compare-and-set by version
  kOrder,        // create -> ok; finalize SERIAL -> SERIAL' | missing; read: one certificate, whoever finalizes
  kClaim,        // claim SERIAL -> SERIAL': the first one wins for ever
  kCrlNumber,    // next -> NUMBER: only ever grows
};
const Specification& specification(RecordKind kind);

// What all clients saw of all records, by record.
class Histories {
 public:
  using Key = std::pair<RecordKind, std::string>;
  struct Id {
    Key record;
    std::size_t operation = 0;
  };
  // An operation that is never told of again has an unknown outcome.
  Id invoked(RecordKind kind, const std::string& record, std::string client, RegionId place, std::string input,
             Instant now);
  void returned(const Id& id, std::string output, Instant now);
  // The client was told that nothing was done.
  void not_done(const Id& id);

  struct Finding {
    Key record;
    std::vector<Operation> history;
    Judgement judgement;
  };
  // The first record whose history is not linearizable. Counts those that could not be decided. With `apart`, the
  // reads of each region are judged with all writes but without the reads of the others.
  std::optional<Finding> judge_all(bool apart, std::uint64_t* undecided) const;
  std::size_t operations() const;
  // (record, what happened). Not set: nobody reads.
  std::function<void(const std::string&, const std::string&)> on_event;

 private:
  struct Entry {
    Operation operation;
    bool happened = true;
  };
  std::map<Key, std::vector<Entry>> records_;
};

std::string to_text(const Histories::Finding& finding);

}  // namespace evercert::sim
