// SPDX-License-Identifier: Apache-2.0
#include "node/recover.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/os/system.h"
#include "node/data_identity.h"
#include "node/layout_of.h"
#include "node/reformation_file.h"
#include "store/kv/rocks_kv.h"
#include "store/membership.h"

namespace evercert::node {

Result<std::unique_ptr<StoppedNode>> StoppedNode::open(const RecoverOptions& options) {
  std::unique_ptr<StoppedNode> node(new StoppedNode);
  EC_ASSIGN(node->config_, config::load_cluster(options.cluster_file));
  node->layout_ = layout_of(node->config_, NodeId{});
  node->data_dir_ = options.data_dir;
  std::vector<std::string> regions = options.with;
  regions.push_back(options.region);
  for (const auto& name : regions) {
    EC_ASSIGN(const auto* region, config::named_region(node->config_, name));
    if (region->witness)
      return fail(Code::kInvalid,
                  "region '" + name +
                      "' is a witness: its log is no copy of the records, so no cluster goes on with it. "
                      "Name the regions that keep records and are left, and no other");
    for (const auto& one : region->nodes) {
      if (!one.spare) node->voters_.push_back(one.id);
    }
  }
  std::sort(node->voters_.begin(), node->voters_.end());
  EC_ASSIGN(const auto* self, config::named_node(node->config_, options.region, options.zone));
  if (!os::disk().exists(options.data_dir + "/log") || !os::disk().exists(options.data_dir + "/state"))
    return fail(Code::kInvalid, options.data_dir + " holds no node's log and state");
  EC_TRY(node->lock_.take(options.data_dir));
  EC_ASSIGN(const auto identity, load_identity(os::disk(), options.data_dir));
  const auto own = identity_of(node->config_, self->id);
  if (identity) EC_TRY(check_identity(*identity, own, options.data_dir, options.cluster_file));
  EC_ASSIGN(node->log_, store::Log::open(os::disk(), options.data_dir + "/log", {}));
  EC_ASSIGN(node->kv_, store::open_rocks_kv(options.data_dir + "/state", {}));
  // Whoever went for good must not come back as the only one who is left.
  EC_ASSIGN(const auto record, store::load_membership(*node->kv_));
  for (const auto& name : regions) {
    const auto member = store::member_of(record, node->config_.region(name)->id);
    if (member.state() == store::v1::REMOVED)
      return fail(Code::kInvalid, "region '" + name + "' was removed from the cluster in epoch " +
                                      std::to_string(member.epoch()) + ": the cluster goes on without its nodes");
  }
  Status read;
  node->ends_ = store::ends_of(*node->log_, *node->kv_, node->layout_, read);
  EC_TRY(read);
  return node;
}

std::string StoppedNode::name_of(GroupId group) const {
  return group == kGlobalGroup ? "global" : config_.regions.at(group.value - 1).name;
}

std::vector<std::string> StoppedNode::lost_regions() const {
  std::vector<std::string> lost;
  for (const auto& region : config_.regions) {
    const bool left = std::any_of(voters_.begin(), voters_.end(), [&](NodeId n) { return region_of(n) == region.id; });
    if (!left && !region.removed) lost.push_back(region.name);
  }
  return lost;
}

Result<StoppedNode::Written> StoppedNode::reform(const std::string& by) {
  std::string all;
  for (const auto& line : losses()) all += (all.empty() ? "" : "; ") + line;
  EC_ASSIGN(const auto reformation, store::reform(*log_, layout_, voters_, by, os::wall_clock().now(), all));
  std::string text = "The groups of this node were made anew by " + by + ".\nvoters:";
  for (const NodeId voter : voters_) text += " " + std::to_string(voter.value);
  text += "\nat (ms since 1970): " + std::to_string(reformation.at_ms()) + "\n";
  for (const auto& end : ends_) {
    text += name_of(end.group) + ": term " + std::to_string(end.term.value) + ", log to " +
            std::to_string(end.last.value) + ", known to be committed to " + std::to_string(end.committed.value) + "\n";
  }
  text += "What may be lost:\n";
  for (const auto& line : losses()) text += "  " + line + "\n";
  const std::string base = data_dir_ + "/reformed-" + std::to_string(reformation.at_ms());
  EC_TRY(write_file_durably(os::disk(), base + ".json", write_reformation({config_.id, reformation})));
  EC_TRY(write_file_durably(os::disk(), base + ".txt", text));
  return Written{base + ".txt", base + ".json"};
}

Status join_reformed(const RecoverOptions& options, const std::string& file) {
  EC_ASSIGN(const auto config, config::load_cluster(options.cluster_file));
  EC_ASSIGN(const auto* self, config::named_node(config, options.region, options.zone));
  EC_ASSIGN(const std::string text, read_file(os::disk(), file));
  EC_ASSIGN(const auto reformed, read_reformation(file, text));
  if (reformed.cluster_id != config.id)
    return fail(Code::kInvalid, file + " is of cluster " + to_hex(reformed.cluster_id) + ", and " +
                                    options.cluster_file + " of cluster " + to_hex(config.id));
  for (const auto voter : reformed.reformation.voters()) {
    if (NodeId{voter} == self->id)
      return fail(Code::kInvalid,
                  "this node is one of those that go on: its log is on its old disk. When that is lost too, give the "
                  "machine another zone ('evercert enroll') and replace the node ('evercert ctl node replace')");
  }
  EC_TRY(os::disk().make_dirs(options.data_dir));
  DirLock lock;
  EC_TRY(lock.take(options.data_dir));
  EC_TRY(claim_folder(os::disk(), options.data_dir, identity_of(config, self->id), options.cluster_file));
  EC_ASSIGN(const auto log, store::Log::open(os::disk(), options.data_dir + "/log", {}));
  auto joined = store::join(*log, reformed.reformation);
  if (!joined && joined.error().code == Code::kConflict)
    return fail(Code::kConflict, options.data_dir +
                                     " has been part of a cluster, of the one before or of this: move it "
                                     "away, and never start a node on it again");
  return joined;
}

}  // namespace evercert::node
