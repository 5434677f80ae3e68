// SPDX-License-Identifier: Apache-2.0
// Three regions on one machine, one of them killed in the middle of it, and an account of what that did.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace evercert::demo {

struct DemoOptions {
  std::string scenario = "region-loss", json_file, dir, kill = "us-east-1";
  int duration_seconds = 36;
  bool wan = true, keep = false, quiet = false;
  int zones = 1;
};

// Exit code: 0 all promises kept, 1 one broken, 2 wrong input. `interrupted` tells when the user wants it to end.
Result<int> run_demo(const DemoOptions& options, const std::function<bool()>& interrupted);

}  // namespace evercert::demo
