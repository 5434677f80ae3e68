// SPDX-License-Identifier: Apache-2.0
#include "held_command.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/os/system.h"

namespace evercert::apps {
namespace {

bool never() { return false; }

// Whether the child has ended within `patience`, or until `stop`; its exit code then.
bool ended(pid_t child, Duration patience, int* code, const std::function<bool()>& stop = never) {
  const Instant until = os::monotonic_clock().now() + patience;
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return true;
    }
    if (stop() || os::monotonic_clock().now() >= until) return false;
    usleep(10'000);
  }
}

}  // namespace

Result<int> run_while_held(const std::vector<std::string>& words, const std::map<std::string, std::string>& environment,
                           Duration interval, const std::function<bool()>& still_held,
                           const std::function<bool()>& interrupted) {
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return fail(Code::kIo, std::string("no process can be started: ") + std::strerror(errno));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // nobody renews any more
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  int code = 0;
  bool passed_on = false;
  while (!ended(child, interval, &code, [&] { return !passed_on && interrupted(); })) {
    if (!passed_on && interrupted()) {
      kill(child, SIGTERM);
      passed_on = true;
    }
    if (still_held()) continue;
    kill(child, SIGTERM);
    if (!ended(child, 5s, &code)) {
      kill(child, SIGKILL);
      ended(child, 5s, &code);
    }
    return 1;
  }
  if (code == 127) return fail(Code::kNotFound, words.front() + ": no such command");
  return code;
}

}  // namespace evercert::apps
