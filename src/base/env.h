// SPDX-License-Identifier: Apache-2.0
// The operating system has one address: these interfaces, passed by constructor. base/os implements them on Linux;
// the simulator implements them on virtual time and a disk that tears.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace evercert {

class MonotonicClock {
 public:
  virtual ~MonotonicClock() = default;
  virtual Instant now() const = 0;
};

class WallClock {
 public:
  virtual ~WallClock() = default;
  virtual WallTime now() const = 0;
};

// Unpredictable in production (a CSPRNG); drawn from the seed in a simulation. Thread-safe in production.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;
  std::uint64_t next() {
    std::uint64_t v = 0;
    fill({reinterpret_cast<std::uint8_t*>(&v), sizeof v});
    return v;
  }
  // Uniform in [0, n). n > 0. (The bias of the modulus is below 2^-32 for the small n used here.)
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  std::string bytes(std::size_t n) {
    std::string s(n, '\0');
    fill({reinterpret_cast<std::uint8_t*>(s.data()), n});
    return s;
  }
};

// Runs closures one after another on one thread (or one strand): what is posted never runs inside post().
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::move_only_function<void()> work) = 0;
  virtual void post_after(Duration delay, std::move_only_function<void()> work) = 0;
};

// An open file for appending. After a failed sync() the file's contents are not to be trusted: see sync().
class AppendFile {
 public:
  virtual ~AppendFile() = default;
  virtual Status append(std::string_view bytes) = 0;
  // On success everything appended before is durable (fdatasync). On failure the kernel may have dropped the dirty
  // pages: the caller must stop using this file and must not retry (see "fsyncgate").
  virtual Status sync() = 0;
};

class ReadFile {
 public:
  virtual ~ReadFile() = default;
  // Reads up to out.size() bytes from `offset`; the count read, less only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) const = 0;
  virtual Result<std::uint64_t> size() const = 0;
};

// Paths are full paths. New names are durable only after sync_dir() of their folder.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Status make_dirs(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& dir) = 0;             // names, sorted
  virtual Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) = 0;  // created when missing
  // For many small appends, each followed by a sync(): space is written ahead of the end, so that a sync need not write
  // the file's metadata, which takes twice as long. The space reads as zero bytes. It is cut off when the file is
  // closed; after a crash it is still there, and pieces of an append that was never synced may be such bytes too.
  virtual Result<std::unique_ptr<AppendFile>> open_journal(const std::string& path) = 0;  // created when missing
  virtual Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) = 0;
  virtual Status truncate(const std::string& path, std::uint64_t size) = 0;  // durable when it returns
  virtual Status remove(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status sync_dir(const std::string& dir) = 0;
  virtual bool exists(const std::string& path) = 0;
};

// Whole small files, through a Disk.
Result<std::string> read_file(Disk& disk, const std::string& path);
// Writes to a temporary name, syncs, renames, syncs the folder: after a crash the old or the new contents are there.
Status write_file_durably(Disk& disk, const std::string& path, std::string_view contents);

}  // namespace evercert
