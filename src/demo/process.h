// SPDX-License-Identifier: Apache-2.0
// Child processes of the demo: started, killed, waited for by their ids, with their output in files.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace evercert::demo {

class Process {
 public:
  Process() = default;
  Process(Process&& other) noexcept { *this = std::move(other); }
  Process& operator=(Process&& other) noexcept {
    kill_hard();
    pid_ = std::exchange(other.pid_, 0);
    command_ = std::move(other.command_);
    log_ = std::move(other.log_);
    return *this;
  }
  ~Process() { kill_hard(); }

  // This very program with other arguments.
  static Result<Process> start(std::vector<std::string> arguments, std::string log_file);
  // Another program by its path, with additions to the environment ("NAME=value"). It dies with this one.
  static Result<Process> start_program(std::vector<std::string> command, std::string log_file,
                                       const std::vector<std::string>& environment, int niceness = 10);
  // Its exit status (128 + signal when killed); nullopt, and killed, when it takes longer.
  std::optional<int> wait(Duration patience);
  pid_t pid() const { return pid_; }
  bool running();
  void kill_hard();  // SIGKILL, and waits
  void end();        // SIGTERM, a moment, SIGKILL
  const std::vector<std::string>& command() const { return command_; }
  std::string log_tail() const;

 private:
  static Result<Process> launch(std::vector<std::string> command, std::string log_file, std::optional<int> niceness,
                                const std::vector<std::string>& environment);

  pid_t pid_ = 0;
  std::vector<std::string> command_;
  std::string log_;
};

}  // namespace evercert::demo
