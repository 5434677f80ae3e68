// SPDX-License-Identifier: Apache-2.0
// The data folder of a stopped node whose cluster has lost a majority of its replicas for good: what it holds, what may
// be lost, and going on without the others (store/reform.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "node/dir_lock.h"
#include "store/reform.h"

namespace evercert::node {

struct RecoverOptions {
  std::string cluster_file, region, data_dir;
  int zone = 1;
  std::vector<std::string> with;  // further regions whose nodes are left and go on
};

class StoppedNode {
 public:
  // kInvalid: configuration, or a folder that holds no node; kIo: the node runs; kCorrupt: it is damaged.
  static Result<std::unique_ptr<StoppedNode>> open(const RecoverOptions& options);

  const std::vector<store::GroupEnd>& ends() const { return ends_; }
  std::vector<std::string> losses() const { return store::losses(ends_, voters_); }
  const std::vector<NodeId>& voters() const { return voters_; }
  std::string name_of(GroupId group) const;
  std::vector<std::string> lost_regions() const;
  // Makes the voters the only ones, and writes down what was done in the folder: the path of that file.
  Result<std::string> reform(const std::string& by);

 private:
  StoppedNode() = default;

  config::ClusterConfig config_;
  std::string data_dir_;
  DirLock lock_;
  store::Layout layout_;
  std::vector<NodeId> voters_;
  std::unique_ptr<store::Log> log_;
  std::unique_ptr<store::Kv> kv_;
  std::vector<store::GroupEnd> ends_;
};

}  // namespace evercert::node
