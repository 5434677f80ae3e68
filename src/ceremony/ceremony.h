// SPDX-License-Identifier: Apache-2.0
// The beginning of a cluster: root, one issuing CA per region, responders, identities, token, cluster file.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace evercert::ceremony {

struct CeremonyOptions {
  std::string dir;
  std::string name = "evercert";
  std::vector<std::string> regions{"us-east-1", "us-west-2", "eu-central-1"};
  std::set<std::string> removed;       // those of them that hold nothing for the others any more
  std::vector<std::string> witnesses;  // of the regions: these vote and keep no records and no keys
  int zones = 1;
  bool hsm = true;  // SoftHSM2 token per region; otherwise keys in files
  std::string hsm_module = "/usr/lib/softhsm/libsofthsm2.so";
  bool wan = false;  // emulated
  bool loopback_timing = false;
  std::string resolver;  // for ACME validation
  int http01_port = 80;
};

// A further region of a cluster that exists, where the root's key and the folders of all regions are at hand.
struct NewRegion {
  config::ClusterConfig cluster;  // as its file is before
  std::string name;
  std::vector<std::string> nodes;  // addresses, zone by zone
  std::string edge;                // its address
};
// Makes the region's issuing key and certificate, what the others hold for it and it for them, and the identities of
// its nodes and its edge. The standbys of the other regions' keys are split anew, since one more region has a share.
// What is to be appended to the regions of the cluster file. kConflict: there is such a region. kNotFound: a key is
// missing.
Result<std::string> add_region(const NewRegion& region, const std::function<void(const std::string&)>& progress);

// After a region was removed: what opens the standbys of all regions' keys is split anew among those that are left, by
// the majority that they have now. The shares that the removed region took along open nothing with those. kNotFound:
// what the ceremony left with the root's key is missing.
Status split_standbys(const config::ClusterConfig& cluster, const std::function<void(const std::string&)>& progress);

// Overwrites nothing: kConflict when `dir` holds a cluster already. `progress` gets one line per step.
Status run(const CeremonyOptions& options, const std::function<void(const std::string&)>& progress);

}  // namespace evercert::ceremony
