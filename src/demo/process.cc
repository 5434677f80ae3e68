// SPDX-License-Identifier: Apache-2.0
#include "demo/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace evercert::demo {

Result<Process> Process::start(std::vector<std::string> arguments, std::string log_file) {
  Process process;
  std::error_code error;
  process.command_.push_back(std::filesystem::read_symlink("/proc/self/exe", error).string());
  process.command_.insert(process.command_.end(), arguments.begin(), arguments.end());
  process.log_ = std::move(log_file);
  std::vector<char*> argv;
  for (auto& word : process.command_) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int log = ::open(process.log_.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return fail(Code::kIo, process.log_ + ": " + std::strerror(errno));
  const pid_t pid = fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setpgid(0, 0);  // Ctrl-C is for the demo: it ends its children in order
    dup2(log, 1);
    dup2(log, 2);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ::close(log);
  if (pid < 0) return fail(Code::kIo, std::string("a process cannot be started: ") + std::strerror(errno));
  process.pid_ = pid;
  return process;
}

bool Process::running() {
  if (pid_ == 0) return false;
  if (waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = 0;
  return false;
}

void Process::kill_hard() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void Process::end() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGTERM);
  for (int i = 0; i < 100 && running(); ++i) usleep(10'000);
  kill_hard();
}

std::string Process::log_tail() const {
  std::ifstream in(log_);
  std::string line, last;
  while (std::getline(in, line)) last = line;
  return log_ + ": " + last;
}

}  // namespace evercert::demo
