// SPDX-License-Identifier: Apache-2.0
// What has become of an edge's canary, for the process that comes after it: a restart must not give clients back to a
// release that was rolled back, nor take from a person's share. While one process hands over to
// the next, both may write: the last word counts.
#pragma once

#include <optional>
#include <string>

#include "base/env.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/releases.h"

namespace evercert::traffic {

class CanaryFile {
 public:
  // `beginning`: what the cluster file says of the canary. What is kept counts as long as it says the same.
  CanaryFile(Disk& disk, std::string path, std::string beginning);
  // Into `releases`. kCorrupt: the file is damaged; kIo. It stays as the cluster file says then.
  Status resume(Releases& releases);
  // When it is another than at the last call. kIo: also the next call tries.
  Status keep(const Releases& releases);

 private:
  std::string text(const Releases::State& state) const;

  Disk& disk_;
  std::string path_, beginning_, kept_;
};

// "5 % to 10.0.0.1:9445": which nodes of the region run the new release, and their first share.
std::string canary_beginning(const Backends& backends, double percent);

}  // namespace evercert::traffic
