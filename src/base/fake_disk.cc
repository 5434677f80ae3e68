// SPDX-License-Identifier: Apache-2.0
#include "base/fake_disk.h"

#include <algorithm>
#include <cstring>

namespace evercert {
namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string(".") : path.substr(0, slash);
}

}  // namespace

class FakeAppendFile : public AppendFile {
 public:
  FakeAppendFile(FakeDisk& disk, std::shared_ptr<FakeDisk::Inode> inode) : disk_(disk), inode_(std::move(inode)) {}

  Status append(std::string_view bytes) override {
    EC_TRY(disk_.operation());
    if (disk_.space_) {
      if (*disk_.space_ < bytes.size()) {
        inode_->bytes.append(bytes.substr(0, *disk_.space_));
        disk_.space_ = 0;
        return fail(Code::kIo, "no space left on device");
      }
      *disk_.space_ -= bytes.size();
    }
    inode_->last_append = inode_->bytes.size();
    inode_->bytes.append(bytes);
    if (std::exchange(disk_.lose_next_write_, false)) {
      inode_->holes.emplace_back(inode_->last_append, inode_->bytes.size());
    }
    return {};
  }

  Status sync() override {
    EC_TRY(disk_.operation());
    ++disk_.syncs_;
    if (std::exchange(disk_.fail_next_sync_, false)) {
      inode_->sync_failed = true;
      return fail(Code::kIo, "fdatasync: input/output error");
    }
    if (!inode_->sync_failed) inode_->synced = inode_->bytes.size();
    return {};
  }

 private:
  FakeDisk& disk_;
  std::shared_ptr<FakeDisk::Inode> inode_;
};

namespace {

class FakeReadFile : public ReadFile {
 public:
  explicit FakeReadFile(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) const override {
    if (offset >= bytes_->size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(out.size(), bytes_->size() - offset);
    std::memcpy(out.data(), bytes_->data() + offset, n);
    return n;
  }
  Result<std::uint64_t> size() const override { return bytes_->size(); }

 private:
  std::shared_ptr<const std::string> bytes_;
};

}  // namespace

Status FakeDisk::operation() {
  if (!power_off_in_) return {};
  if (*power_off_in_ == 0) return fail(Code::kIo, "the machine is off");
  --*power_off_in_;
  return *power_off_in_ == 0 ? Status(fail(Code::kIo, "the machine is off")) : Status{};
}

Status FakeDisk::make_dirs(const std::string& path) {
  dirs_.insert(path);
  return {};
}

Result<std::vector<std::string>> FakeDisk::list(const std::string& dir) {
  std::vector<std::string> found;
  for (const auto& [path, inode] : names_) {
    if (folder_of(path) == dir) found.push_back(path.substr(dir.size() + 1));
  }
  return found;
}

Result<std::unique_ptr<AppendFile>> FakeDisk::open_append(const std::string& path) {
  EC_TRY(operation());
  auto& inode = names_[path];
  if (!inode) inode = std::make_shared<Inode>();
  return std::make_unique<FakeAppendFile>(*this, inode);
}

Result<std::unique_ptr<AppendFile>> FakeDisk::open_journal(const std::string& path) {
  EC_ASSIGN(auto file, open_append(path));
  names_[path]->journal = true;
  return file;
}

Result<std::unique_ptr<ReadFile>> FakeDisk::open_read(const std::string& path) {
  const auto found = names_.find(path);
  if (found == names_.end()) return fail(Code::kNotFound, "open " + path + ": no such file");
  // The file lives as long as its inode; the alias keeps both.
  return std::make_unique<FakeReadFile>(std::shared_ptr<const std::string>(found->second, &found->second->bytes));
}

Status FakeDisk::truncate(const std::string& path, std::uint64_t size) {
  EC_TRY(operation());
  const auto found = names_.find(path);
  if (found == names_.end()) return fail(Code::kNotFound, "truncate " + path + ": no such file");
  found->second->bytes.resize(size);
  found->second->synced = size;
  return {};
}

Status FakeDisk::remove(const std::string& path) {
  EC_TRY(operation());
  if (names_.erase(path) == 0) return fail(Code::kNotFound, "unlink " + path + ": no such file");
  return {};
}

Status FakeDisk::rename(const std::string& from, const std::string& to) {
  EC_TRY(operation());
  auto found = names_.extract(from);
  if (found.empty()) return fail(Code::kNotFound, "rename " + from + ": no such file");
  names_[to] = found.mapped();
  return {};
}

Status FakeDisk::sync_dir(const std::string& dir) {
  EC_TRY(operation());
  std::erase_if(durable_names_, [&](const auto& entry) { return folder_of(entry.first) == dir; });
  for (const auto& [path, inode] : names_) {
    if (folder_of(path) == dir) durable_names_[path] = inode;
  }
  return {};
}

bool FakeDisk::exists(const std::string& path) { return names_.contains(path) || dirs_.contains(path); }

void FakeDisk::crash(Random& random) {
  Names after = durable_names_;
  for (const auto& [path, inode] : names_) {
    if (!durable_names_.contains(path) && random.below(2) == 0) after[path] = inode;
  }
  for (const auto& [path, inode] : durable_names_) {
    if (!names_.contains(path) && random.below(2) == 0) after.erase(path);
  }
  names_ = durable_names_ = std::move(after);
  for (auto& [path, inode] : names_) {
    for (const auto& [from, to] : inode->holes) {
      if (to < inode->synced) inode->bytes.replace(from, to - from, to - from, '\0');
    }
    inode->holes.clear();
    inode->sync_failed = false;
    // Where the last whole append begins is not known any more when a piece of it is left.
    if (inode->bytes.size() > inode->synced) inode->last_append = 0;
    tear(*inode, random);
    // The room that was written ahead.
    if (inode->journal) inode->bytes.append(random.below(2000), '\0');
    inode->synced = inode->bytes.size();
  }
  end_process();
}

void FakeDisk::end_process() {
  power_off_in_.reset();
  space_.reset();
  fail_next_sync_ = lose_next_write_ = false;
}

void FakeDisk::tear(Inode& inode, Random& random) {
  const std::size_t unsynced = inode.bytes.size() - inode.synced;
  if (unsynced == 0) return;
  inode.bytes.resize(inode.synced + random.below(unsynced + 1));
  const std::size_t kept = inode.bytes.size() - inode.synced;
  if (kept > 0 && random.below(3) == 0) {
    inode.bytes[inode.synced + random.below(kept)] ^= static_cast<char>(1 + random.below(255));
  }
  if (!inode.journal) return;
  constexpr std::size_t kSector = 512;
  for (std::size_t begin = inode.synced; begin < inode.bytes.size();) {
    const std::size_t end = std::min(inode.bytes.size(), (begin / kSector + 1) * kSector);
    if (random.below(4) == 0) inode.bytes.replace(begin, end - begin, end - begin, '\0');
    begin = end;
  }
}

void FakeDisk::crash_keeping(std::size_t keep) {
  for (auto& [path, inode] : names_) {
    inode->bytes.resize(std::min(inode->bytes.size(), inode->synced + keep));
    inode->synced = inode->bytes.size();
  }
  durable_names_ = names_;
  power_off_in_.reset();
}

void FakeDisk::flip_bit(const std::string& path, std::uint64_t bit) {
  auto& bytes = names_.at(path)->bytes;
  bytes[bit / 8 % bytes.size()] ^= static_cast<char>(1 << bit % 8);
}

bool FakeDisk::rot(std::uint64_t where) {
  const auto sound = [&](const auto& entry) {
    const Inode& inode = *entry.second;
    const bool newest = entry.first == durable_names_.rbegin()->first;
    return newest ? std::min(inode.synced, inode.last_append) : inode.synced;
  };
  std::size_t total = 0;
  for (const auto& entry : durable_names_) total += sound(entry);
  if (total == 0) return false;
  std::size_t byte = where % total;
  for (const auto& entry : durable_names_) {
    if (byte < sound(entry)) {
      entry.second->bytes[byte] ^= static_cast<char>(1 << where % 8);
      return true;
    }
    byte -= sound(entry);
  }
  return false;
}

std::string FakeDisk::contents(const std::string& path) const { return names_.at(path)->bytes; }

void FakeDisk::set_contents(const std::string& path, std::string bytes) {
  auto& inode = names_[path];
  inode = std::make_shared<Inode>();
  inode->synced = bytes.size();
  inode->bytes = std::move(bytes);
  durable_names_[path] = inode;
}

}  // namespace evercert
