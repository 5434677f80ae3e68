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
#include <utility>
#include <vector>

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
  // The process alone ends: the kernel keeps what it was handed, synced or not. Faults planted before are gone, but for
  // what a failed sync has done.
  void end_process();
  // As crash(), but exactly `keep` unsynced bytes of every file remain.
  void crash_keeping(std::size_t keep);

  // Everything from the n-th further writing operation on fails with kIo: the machine went off in the middle.
  void power_off_after(std::uint64_t operations) { power_off_in_ = operations; }
  bool powered_off() const { return power_off_in_ && *power_off_in_ == 0; }
  // EIO. As on Linux the kernel takes the pages for clean afterwards: they can still be read, no later sync writes
  // them, and they are gone when the machine crashes.
  void fail_next_sync() { fail_next_sync_ = true; }
  // At most so many bytes more can be appended; then kIo (no space). Nothing: as many as one likes.
  void set_space(std::optional<std::uint64_t> bytes) { space_ = bytes; }
  // The next append is acknowledged, and so is its sync, but it never reaches the medium: after a crash there are
  // zeros. Not when nothing was appended behind it, which would be an append that never was.
  void lose_next_write() { lose_next_write_ = true; }
  // Flips a bit of something synced, chosen by `where`, but not of the newest file's last append: that could not be
  // told from a write that power cut short. False when there is nothing else.
  bool rot(std::uint64_t where);
  void flip_bit(const std::string& path, std::uint64_t bit);
  std::string contents(const std::string& path) const;
  void set_contents(const std::string& path, std::string bytes);
  std::uint64_t syncs() const { return syncs_; }

 private:
  friend class FakeAppendFile;
  struct Inode {
    std::string bytes;
    std::size_t synced = 0;
    bool journal = false;         // written ahead of its end
    std::size_t last_append = 0;  // where it began
    bool sync_failed = false;
    std::vector<std::pair<std::size_t, std::size_t>> holes;  // lost writes: from, to
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
  bool lose_next_write_ = false;
  std::uint64_t syncs_ = 0;
};

}  // namespace evercert
