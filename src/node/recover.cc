// SPDX-License-Identifier: Apache-2.0
#include "node/recover.h"

#include <algorithm>

#include "base/os/system.h"
#include "node/data_identity.h"
#include "node/layout_of.h"
#include "store/kv/rocks_kv.h"
#include "store/membership.h"

namespace evercert::node {

Result<std::unique_ptr<StoppedNode>> StoppedNode::open(const RecoverOptions& options) {
  std::unique_ptr<StoppedNode> node(new StoppedNode);
  EC_ASSIGN(node->config_, config::load_cluster(options.cluster_file));
  node->layout_ = layout_of(node->config_);
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
    for (const auto& one : region->nodes) node->voters_.push_back(one.id);
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

Result<std::string> StoppedNode::reform(const std::string& by) {
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
  const std::string path = data_dir_ + "/reformed-" + std::to_string(reformation.at_ms()) + ".txt";
  EC_TRY(write_file_durably(os::disk(), path, text));
  return path;
}

}  // namespace evercert::node
