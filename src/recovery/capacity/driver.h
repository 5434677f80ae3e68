// SPDX-License-Identifier: Apache-2.0
// What starts and ends further workers: processes on this machine (node/spare_edges.h), or those of a platform.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace evercert::recovery {

struct Worker {
  std::string name;
  bool running = false;
};

// One thread. No call waits for the worker: list() tells later what has become of it.
class CapacityDriver {
 public:
  virtual ~CapacityDriver() = default;
  // All that it may run, in the order in which they are to be started.
  virtual std::vector<Worker> list() = 0;
  virtual Status start(const std::string& name) = 0;
  // It ends when it has answered what it began.
  virtual Status stop(const std::string& name) = 0;
};

}  // namespace evercert::recovery
