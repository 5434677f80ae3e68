// SPDX-License-Identifier: Apache-2.0
// The state in memory, for tests and the simulator, with the crash semantics of kv.h on demand.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "store/kv/kv.h"

namespace evercert::store {

class MemKv : public Kv {
 public:
  Result<std::optional<std::string>> get(const std::string& key) const override;
  Status write(const WriteBatch& batch) override;
  Status scan(const std::string& from, const std::string& to, std::size_t limit, const KvVisitor& visit) const override;
  Status flush() override;
  std::unique_ptr<KvSnapshot> snapshot() const override;

  // Goes back to a border between batches since the last flush, drawn from `random`.
  void crash(Random& random);
  // A record, chosen by `where`, fails its checksum from now on (kCorrupt) until it is replaced. False: there is none.
  bool rot(std::uint64_t where);
  bool rots() const { return !rotten_.empty(); }
  void forget_rot() { rotten_.clear(); }

 private:
  using Undo = std::vector<std::pair<std::string, std::optional<std::string>>>;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> data_;
  std::set<std::string> rotten_;
  std::deque<Undo> undo_;  // one per batch since the last flush
};

}  // namespace evercert::store
