// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace evercert::node {

// A data directory belongs to one process: two would write one log. Held until it goes.
class DirLock {
 public:
  DirLock() = default;
  DirLock(const DirLock&) = delete;
  DirLock& operator=(const DirLock&) = delete;
  ~DirLock();
  // kIo: another process has it.
  Status take(const std::string& dir);

 private:
  int fd_ = -1;
};

}  // namespace evercert::node
