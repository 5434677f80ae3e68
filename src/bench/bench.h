// SPDX-License-Identifier: Apache-2.0
// Benchmarks of whole clusters on this machine, with servers on the first core and clients on the second, beside the
// limits of the machine and, when their programs are there, beside what users would pick instead.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace evercert::bench {

struct BenchOptions {
  std::vector<std::string> names;  // empty: all
  std::string json_file;
  std::string dir;             // for clusters and logs; empty: a temporary one
  std::string peers;           // folder with step-ca, cfssl and acmeload; what is missing there is left out
  int seconds = 6;             // of each measurement
  int runs = 1;                // of each comparison; what is told is the median
  std::vector<int> at_once;    // requests under way, one measurement each; empty: what shows each side at its best
  int certificates = 100'000;  // of the benchmarks `memory` and `scale`
};

std::vector<std::string> benchmark_names();
// Exit code. kInvalid: an unknown name; kUnavailable: a program that is needed is missing.
Result<int> run_bench(const BenchOptions& options, const std::function<bool()>& interrupted);

}  // namespace evercert::bench
