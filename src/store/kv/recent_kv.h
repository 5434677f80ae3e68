// SPDX-License-Identifier: Apache-2.0
// Another Kv, and what was read of it lately: a state machine looks at the same few records in every command (who
// proposes, a lease, whether a key is there), and a search of a memtable for each costs more than the rest of it.
// One thread, and the only writer of that Kv; others read there.
#pragma once

#include <string_view>

#include "store/kv/kv.h"

namespace evercert::store {

class RecentKv : public Kv {
 public:
  static constexpr std::size_t kSlots = 4096;        // a power of two
  static constexpr std::size_t kLongestValue = 128;  // bytes; longer ones are not remembered

  // `forgets_to_forget` plants a bug: what is written does not touch what is remembered.
  explicit RecentKv(Kv& kv, bool forgets_to_forget = false)
      : kv_(kv), forgets_to_forget_(forgets_to_forget), slots_(kSlots) {}

  Result<std::optional<std::string>> get(const std::string& key) const override;
  // When it fails nothing is remembered of it.
  Status write(const WriteBatch& batch) override;
  Status scan(const std::string& from, const std::string& to, std::size_t limit,
              const KvVisitor& visit) const override {
    return kv_.scan(from, to, limit, visit);
  }
  Status flush() override { return kv_.flush(); }
  std::unique_ptr<KvSnapshot> snapshot() const override { return kv_.snapshot(); }
  Status stage(const std::string& run, const WriteBatch& puts) override { return kv_.stage(run, puts); }
  Status seal(const std::string& run) override { return kv_.seal(run); }
  Status take_over(const std::string& run, const std::string& from, const std::string& to, WriteBatch finally) override;
  Status drop_staged(const std::string& run) override { return kv_.drop_staged(run); }

 private:
  struct Slot {
    bool used = false;
    std::string key;
    std::optional<std::string> value;  // nothing: there is no such record
  };
  Slot& slot(std::string_view key) const;
  void forget_all();

  Kv& kv_;
  bool forgets_to_forget_;
  mutable std::vector<Slot> slots_;
};

}  // namespace evercert::store
