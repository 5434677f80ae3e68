// SPDX-License-Identifier: Apache-2.0
// A child process that runs this very program with other arguments.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace evercert::os {

class Child {
 public:
  // Its output goes where this process's does. kIo.
  static Result<Child> start(std::vector<std::string> arguments);
  Child() = default;
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  Child& operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  // SIGKILL, when it still runs.
  ~Child();

  bool running();
  // SIGTERM: it ends when it has answered what it began. running() tells when it has.
  void ask_to_end();

 private:
  pid_t pid_ = 0;
};

}  // namespace evercert::os
