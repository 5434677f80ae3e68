// SPDX-License-Identifier: Apache-2.0
// The beginning of a cluster: root, one issuing CA per region, responders, identities, token, cluster file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace evercert::ceremony {

struct CeremonyOptions {
  std::string dir;
  std::string name = "evercert";
  std::vector<std::string> regions{"us-east-1", "us-west-2", "eu-central-1"};
  int zones = 1;
  bool hsm = true;  // SoftHSM2 token per region; otherwise keys in files
  std::string hsm_module = "/usr/lib/softhsm/libsofthsm2.so";
  bool wan = false;  // emulated
  bool loopback_timing = false;
  std::string resolver;  // for ACME validation
  int http01_port = 80;
};

// Overwrites nothing: kConflict when `dir` holds a cluster already. `progress` gets one line per step.
Status run(const CeremonyOptions& options, const std::function<void(const std::string&)>& progress);

}  // namespace evercert::ceremony
