// SPDX-License-Identifier: Apache-2.0
#include "base/os/child.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace evercert::os {

Result<Child> Child::start(std::vector<std::string> arguments) {
  char self[4096];
  const ssize_t length = ::readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0) return fail(Code::kIo, "this program's own file cannot be found");
  std::string program(self, static_cast<std::size_t>(length));
  arguments.insert(arguments.begin(), program);
  std::vector<char*> words;
  for (auto& word : arguments) words.push_back(word.data());
  words.push_back(nullptr);
  // Threads of servers block signals, and a child would inherit that.
  posix_spawnattr_t attributes;
  if (::posix_spawnattr_init(&attributes) != 0) return fail(Code::kIo, "a process cannot be started");
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  Child child;
  const int error = ::posix_spawn(&child.pid_, program.c_str(), nullptr, &attributes, words.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    child.pid_ = 0;
    return fail(Code::kIo, std::string("a process cannot be started: ") + std::strerror(error));
  }
  return child;
}

Child::~Child() {
  if (!running()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Child::running() {
  if (pid_ == 0) return false;
  if (::waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = 0;
  return false;
}

void Child::ask_to_end() {
  if (running()) ::kill(pid_, SIGTERM);
}

}  // namespace evercert::os
