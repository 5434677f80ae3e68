// SPDX-License-Identifier: Apache-2.0
// A disk in memory that behaves as badly as a real one may: what was not synced can vanish or tear when the machine
// crashes, names are durable only after their folder was synced, and faults can be planted. Deterministic. Used by
// tests and by the simulator.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/env.h"

namespace evercert {

class FakeDisk : public Disk {
 public:
  Status make_dirs(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& dir) override;
  Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) override;
  Result<std::unique_ptr<AppendFile>> open_journal(const std::string& path) override;
  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override;
  Status truncate(const std::string& path, std::uint64_t size) override;
  Status remove(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status sync_dir(const std::string& dir) override;
  bool exists(const std::string& path) override;

  // The machine loses power: of every file the synced bytes remain and a random part of the rest, its last bytes
  // possibly garbage; of unsynced names a random choice. Journals end in zeros then, and sectors of what was not synced
  // may be zeros too. Faults planted before are gone afterwards.
  void crash(Random& random);
  // As crash(), but exactly `keep` unsynced bytes of every file remain.
  void crash_keeping(std::size_t keep);

  // Everything from the n-th further writing operation on fails with kIo: the machine went off in the middle.
  void power_off_after(std::uint64_t operations) { power_off_in_ = operations; }
  bool powered_off() const { return power_off_in_ && *power_off_in_ == 0; }
  void fail_next_sync() { fail_next_sync_ = true; }
  // At most so many bytes more can be appended; then kIo (no space).
  void set_space(std::uint64_t bytes) { space_ = bytes; }
  void flip_bit(const std::string& path, std::uint64_t bit);
  std::string contents(const std::string& path) const;
  void set_contents(const std::string& path, std::string bytes);
  std::uint64_t syncs() const { return syncs_; }

 private:
  friend class FakeAppendFile;
  struct Inode {
    std::string bytes;
    std::size_t synced = 0;
    bool journal = false;  // written ahead of its end
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  Status operation();
  static void tear(Inode& inode, Random& random);

  Names names_;
  Names durable_names_;
  std::set<std::string> dirs_;
  std::optional<std::uint64_t> power_off_in_;
  std::optional<std::uint64_t> space_;
  bool fail_next_sync_ = false;
  std::uint64_t syncs_ = 0;
};

}  // namespace evercert
