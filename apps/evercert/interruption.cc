// SPDX-License-Identifier: Apache-2.0
#include "interruption.h"

#include <signal.h>

#include <atomic>

namespace evercert::apps {
namespace {

std::atomic<bool> g_interrupted{false};
void interrupt(int) { g_interrupted = true; }

}  // namespace

std::function<bool()> watch_for_interruption() {
  signal(SIGINT, interrupt);
  signal(SIGTERM, interrupt);
  return [] { return g_interrupted.load(); };
}

}  // namespace evercert::apps
