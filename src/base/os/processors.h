// SPDX-License-Identifier: Apache-2.0
// What of the machine's processors this process uses, and may use.
#pragma once

#include "base/time.h"

namespace evercert::os {

// By all threads since the start, in user and in kernel mode (getrusage).
Duration processor_time();
// That its threads may run on: those of its affinity, and less where its control group (cgroup v2, cpu.max) allows
// less.
double processors();

}  // namespace evercert::os
