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
  // Makes the voters the only ones, and writes down what was done in the folder, for persons and for nodes that are to
  // join (join_reformed): the paths of both files.
  struct Written {
    std::string record, for_others;
  };
  Result<Written> reform(const std::string& by);

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

// A new node, in a data folder that is made or holds nothing yet, is to join what was made anew. `file`: of
// StoppedNode::Written::for_others. kInvalid: that is none, or another cluster's; kConflict: the folder has been part
// of a cluster.
Status join_reformed(const RecoverOptions& options, const std::string& file);

}  // namespace evercert::node
