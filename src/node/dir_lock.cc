// SPDX-License-Identifier: Apache-2.0
#include "node/dir_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace evercert::node {

DirLock::~DirLock() {
  if (fd_ >= 0) ::close(fd_);
}

Status DirLock::take(const std::string& dir) {
  const std::string path = dir + "/lock";
  fd_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd_ < 0) return fail(Code::kIo, path + ": " + std::strerror(errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = "";
    const auto got = ::read(fd_, holder, sizeof holder - 1);
    return fail(Code::kIo, dir + " is in use by another process (" + (got > 0 ? holder : "unknown") +
                               "): one node, one folder. End that process first, or name another folder (--data)");
  }
  // For the message above alone: the lock is the kernel's.
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0)
    return fail(Code::kIo, path + ": " + std::strerror(errno));
  return {};
}

}  // namespace evercert::node
