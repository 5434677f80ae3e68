// SPDX-License-Identifier: Apache-2.0
// Ordered key-value state of a node. Writes are atomic batches and *not* synced: the replicated log is the truth, and
// the state says itself, in the same batch, how far it has come. After a crash the state is as it was at some earlier
// border between batches. One writer; reads from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace evercert::store {

// Changes in order; a later one wins.
class WriteBatch {
 public:
  struct Change {
    enum class Kind { kPut, kRemove, kRemoveRange } kind;
    std::string key, value;  // kRemoveRange: [key, value)
  };
  void put(std::string key, std::string value) {
    changes_.push_back({Change::Kind::kPut, std::move(key), std::move(value)});
  }
  void remove(std::string key) { changes_.push_back({Change::Kind::kRemove, std::move(key), {}}); }
  void remove_range(std::string from, std::string to) {
    changes_.push_back({Change::Kind::kRemoveRange, std::move(from), std::move(to)});
  }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  std::vector<Change> changes_;
};

// False ends the scan.
using KvVisitor = std::function<bool(std::string_view key, std::string_view value)>;

// The state as it was at one moment.
class KvSnapshot {
 public:
  virtual ~KvSnapshot() = default;
  // Keys in [from, to), in order, at most `limit`. kCorrupt, kIo.
  virtual Status scan(const std::string& from, const std::string& to, std::size_t limit,
                      const KvVisitor& visit) const = 0;
};

class Kv {
 public:
  virtual ~Kv() = default;
  virtual Result<std::optional<std::string>> get(const std::string& key) const = 0;
  virtual Status write(const WriteBatch& batch) = 0;
  virtual Status scan(const std::string& from, const std::string& to, std::size_t limit,
                      const KvVisitor& visit) const = 0;
  // Everything written so far is durable when this returns.
  virtual Status flush() = 0;
  virtual std::unique_ptr<KvSnapshot> snapshot() const = 0;

  // A run: records that are to take the place of a range, made beside the state and no part of it until then. By
  // default it lies in the state under keys of its own; RocksDB keeps it in files that are then taken over as they are.
  // Puts alone, in ascending order of keys over all calls; a run begins with the first. kInvalid: out of order.
  virtual Status stage(const std::string& run, const WriteBatch& puts);
  // What was staged, and everything that was written, is durable when this returns. Nothing more is staged then.
  virtual Status seal(const std::string& run);
  // [from, to) becomes what was sealed, then `finally` is done and the run is gone. After a crash, one does it again if
  // the state does not show `finally`. kCorrupt: there is no sealed run of this name.
  virtual Status take_over(const std::string& run, const std::string& from, const std::string& to, WriteBatch finally);
  virtual Status drop_staged(const std::string& run);
};

}  // namespace evercert::store
