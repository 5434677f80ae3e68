// SPDX-License-Identifier: Apache-2.0
// One node of a cluster, put together: store, CA, interfaces.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.h"

namespace evercert::node {

struct NodeOptions {
  std::string cluster_file, region, data_dir;
  int zone = 1;
  bool doubt_state = false;  // store::EngineOptions::doubted
};

class NodeProcess {
 public:
  // kInvalid: configuration; kCorrupt: the data directory is damaged; kIo: locked, port taken.
  static Result<std::unique_ptr<NodeProcess>> start(NodeOptions options);
  virtual ~NodeProcess() = default;
  virtual void drain(Duration patience) = 0;
  // Set when the node must stop by itself: why.
  virtual std::optional<Error> fatal() const = 0;
};

}  // namespace evercert::node
