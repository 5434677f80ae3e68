// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/os/system.h"

namespace evercert::os {
namespace {

std::unexpected<Error> io_error(const char* call, const std::string& path) {
  const int number = errno;
  return fail(number == ENOENT ? Code::kNotFound : Code::kIo,
              std::string(call) + " " + path + ": " + std::strerror(number));
}

class PosixAppendFile : public AppendFile {
 public:
  PosixAppendFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixAppendFile() override { ::close(fd_); }

  Status append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        return io_error("write", path_);
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return io_error("fdatasync", path_);
    return {};
  }

 private:
  int fd_;
  std::string path_;
};

class PosixJournalFile : public AppendFile {
 public:
  PosixJournalFile(int fd, std::uint64_t end, std::string path)
      : fd_(fd), end_(end), room_until_(end), path_(std::move(path)) {}
  ~PosixJournalFile() override {
    // Not necessary: who reads the file knows of the room.
    if (::ftruncate(fd_, static_cast<off_t>(end_)) != 0) errno = 0;
    ::close(fd_);
  }

  Status append(std::string_view bytes) override {
    if (end_ + bytes.size() > room_until_) make_room(end_ + bytes.size());
    EC_TRY(write_at(end_, bytes));
    end_ += bytes.size();
    room_until_ = std::max(room_until_, end_);
    return {};
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return io_error("fdatasync", path_);
    return {};
  }

 private:
  static constexpr std::uint64_t kRoom = 1 << 20;

  // Written, not merely reserved: the first write to a reserved block changes metadata too. When there is no space for
  // more room, there may still be enough for what is to be appended.
  void make_room(std::uint64_t needed) {
    static constexpr std::size_t kPiece = 64 << 10;
    static const std::string zeros(kPiece, '\0');
    const std::uint64_t until = (needed / kRoom + 1) * kRoom;
    while (room_until_ < until) {
      const std::size_t n = std::min<std::uint64_t>(kPiece, until - room_until_);
      if (!write_at(room_until_, std::string_view(zeros).substr(0, n))) return;
      room_until_ += n;
    }
  }

  Status write_at(std::uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return io_error("pwrite", path_);
      }
      offset += static_cast<std::uint64_t>(n);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  int fd_;
  std::uint64_t end_;         // of what was appended
  std::uint64_t room_until_;  // end of the file: beyond end_ there are zeros
  std::string path_;
};

class PosixReadFile : public ReadFile {
 public:
  PosixReadFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixReadFile() override { ::close(fd_); }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return io_error("pread", path_);
      }
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Result<std::uint64_t> size() const override {
    struct stat s {};
    if (::fstat(fd_, &s) != 0) return io_error("fstat", path_);
    return static_cast<std::uint64_t>(s.st_size);
  }

 private:
  int fd_;
  std::string path_;
};

class PosixDisk : public Disk {
 public:
  Status make_dirs(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return fail(Code::kIo, "mkdir " + path + ": " + error.message());
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& dir) override {
    DIR* handle = ::opendir(dir.c_str());
    if (handle == nullptr) return io_error("opendir", dir);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(handle)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(handle);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return io_error("open", path);
    return std::make_unique<PosixAppendFile>(fd, path);
  }

  Result<std::unique_ptr<AppendFile>> open_journal(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return io_error("open", path);
    const off_t end = ::lseek(fd, 0, SEEK_END);
    if (end < 0) {
      auto error = io_error("lseek", path);
      ::close(fd);
      return error;
    }
    return std::make_unique<PosixJournalFile>(fd, static_cast<std::uint64_t>(end), path);
  }

  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_error("open", path);
    return std::make_unique<PosixReadFile>(fd, path);
  }

  Status truncate(const std::string& path, std::uint64_t size) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return io_error("open", path);
    const bool ok = ::ftruncate(fd, static_cast<off_t>(size)) == 0 && ::fsync(fd) == 0;
    if (!ok) {
      auto error = io_error("ftruncate", path);
      ::close(fd);
      return error;
    }
    ::close(fd);
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return io_error("unlink", path);
    return {};
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return io_error("rename", from);
    return {};
  }

  Status sync_dir(const std::string& dir) override {
    const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_error("open", dir);
    const bool ok = ::fsync(fd) == 0;
    if (!ok) {
      auto error = io_error("fsync", dir);
      ::close(fd);
      return error;
    }
    ::close(fd);
    return {};
  }

  bool exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }
};

}  // namespace

Disk& disk() {
  static PosixDisk instance;
  return instance;
}

Result<double> free_share(const std::string& path) {
  struct statvfs found {};
  if (::statvfs(path.c_str(), &found) != 0) return fail(Code::kIo, path + ": " + std::strerror(errno));
  if (found.f_blocks == 0) return 1.0;  // a file system without a size
  return static_cast<double>(found.f_bavail) / static_cast<double>(found.f_blocks);
}

Result<double> available_memory_share() {
  std::ifstream file("/proc/meminfo");
  double total = 0, available = -1;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    double kib = 0;
    if (!(words >> name >> kib)) continue;
    if (name == "MemTotal:") total = kib;
    if (name == "MemAvailable:") available = kib;
  }
  if (total <= 0 || available < 0) return fail(Code::kIo, "/proc/meminfo does not say how much memory is left");
  return available / total;
}

}  // namespace evercert::os
