// SPDX-License-Identifier: Apache-2.0
#include "demo/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace evercert::demo {

Result<Process> Process::start(std::vector<std::string> arguments, std::string log_file) {
  std::error_code error;
  arguments.insert(arguments.begin(), std::filesystem::read_symlink("/proc/self/exe", error).string());
  return launch(std::move(arguments), std::move(log_file), std::nullopt, {});
}

Result<Process> Process::start_program(std::vector<std::string> command, std::string log_file,
                                       const std::vector<std::string>& environment, int niceness) {
  return launch(std::move(command), std::move(log_file), niceness, environment);
}

Result<Process> Process::launch(std::vector<std::string> command, std::string log_file, std::optional<int> niceness,
                                const std::vector<std::string>& environment) {
  Process process;
  process.command_ = std::move(command);
  process.log_ = std::move(log_file);
  // Made before the fork: the child of a program with threads may call little.
  std::vector<char*> variables;
  for (const auto& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
  for (char** inherited = environ; *inherited != nullptr; ++inherited) variables.push_back(*inherited);
  variables.push_back(nullptr);
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
    if (niceness) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      setpriority(PRIO_PROCESS, 0, *niceness);
    }
    execve(argv[0], argv.data(), variables.data());
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

std::optional<int> Process::wait(Duration patience) {
  for (std::int64_t waited = 0; waited < patience.count(); waited += 20'000) {
    int status = 0;
    if (pid_ == 0) return std::nullopt;
    if (waitpid(pid_, &status, WNOHANG) != 0) {
      pid_ = 0;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    usleep(20'000);
  }
  kill_hard();
  return std::nullopt;
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
