// SPDX-License-Identifier: Apache-2.0
// The replicated log of all Raft groups of a node: one set of segment files, one fdatasync for everything that is
// written together. Format and rules of recovery: docs/formats/log.md. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/result.h"
#include "store/raft/raft_node.h"

namespace evercert::store {

// Planted by tests, see store/planted.h.
enum class LogBug { kNone, kTrustUnsynced, kRetrySync, kCutDamage };

struct LogOptions {
  std::uint64_t segment_bytes = 16 << 20;
  std::uint64_t cache_bytes_per_group = 4 << 20;  // recent entries kept in memory
  LogBug bug = LogBug::kNone;
};

class Log {
 public:
  // Reads and verifies everything. A torn tail (the last batch, with nothing valid behind it) was never acknowledged
  // and is cut off. kCorrupt: damage anywhere else, with file and offset; the log must not be used.
  // kUnsupported: written by a newer version.
  static Result<std::unique_ptr<Log>> open(Disk& disk, std::string dir, LogOptions options);
  virtual ~Log() = default;

  // Changes gather in memory and are seen by the reads below at once; sync() makes them durable together.
  // Entries must be a run that begins at most one after the last index; what stood there and behind is replaced.
  virtual void append(GroupId group, std::vector<LogEntry> entries) = 0;
  virtual void set_hard_state(GroupId group, HardState state) = 0;
  // The log begins after (index, term); entries beyond it are dropped unless they continue it.
  virtual void set_snapshot(GroupId group, LogIndex index, Term term) = 0;
  // Entries up to and including `upto` are not needed any more.
  virtual void compact(GroupId group, LogIndex upto) = 0;
  virtual void put_meta(std::string key, std::string value) = 0;
  virtual void remove_meta(const std::string& key) = 0;
  // kIo: the disk refused. From then on the log refuses everything: what the kernel has kept of the dirty pages is
  // not known, so the process must end and the next one read what is there.
  virtual Status sync() = 0;

  virtual HardState hard_state(GroupId group) const = 0;
  virtual LogIndex first_index(GroupId group) const = 0;  // one after the snapshot's when empty
  virtual LogIndex last_index(GroupId group) const = 0;   // the snapshot's when empty
  struct Beginning {
    LogIndex index;
    Term term;
  };
  virtual Beginning snapshot(GroupId group) const = 0;                 // what the log begins after
  virtual Result<Term> term(GroupId group, LogIndex index) const = 0;  // kNotFound
  // [low, high) as far as max_bytes reaches, at least one. kNotFound outside of the log, kCorrupt.
  virtual Result<std::vector<LogEntry>> entries(GroupId group, LogIndex low, LogIndex high,
                                                std::uint64_t max_bytes) const = 0;
  virtual std::optional<std::string> meta(const std::string& key) const = 0;
};

}  // namespace evercert::store
