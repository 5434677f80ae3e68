// SPDX-License-Identifier: Apache-2.0
#include "base/os/processors.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace evercert::os {

Duration processor_time() {
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) != 0) return Duration{0};
  const auto of = [](const timeval& t) { return Duration(std::int64_t{t.tv_sec} * 1'000'000 + t.tv_usec); };
  return of(used.ru_utime) + of(used.ru_stime);
}

double processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  double count = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::ifstream limit("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (limit >> quota >> period && quota != "max" && period > 0) {
    char* end = nullptr;
    const double allowed = std::strtod(quota.c_str(), &end) / period;
    if (*end == 0 && allowed > 0) count = std::min(count, allowed);
  }
  return std::max(count, 0.01);
}

}  // namespace evercert::os
