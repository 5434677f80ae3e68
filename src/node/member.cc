// SPDX-License-Identifier: Apache-2.0
#include "node/member.h"

#include <utility>

#include "base/log.h"
#include "config/paths.h"
#include "node/data_identity.h"
#include "node/founding.h"
#include "node/store_setup.h"

namespace evercert::node {

Result<std::unique_ptr<Member>> Member::open(const NodeOptions& options, config::ClusterConfig config) {
  std::unique_ptr<Member> member(new Member(std::move(config)));
  EC_TRY(member->open_store(options));
  return member;
}

Member::~Member() {
  stop();
  store_executor_.reset();
  store_.reset();
}

void Member::stop() {
  if (std::exchange(stopped_, true)) return;
  if (store_) store_->stop();
  if (grpc_) {
    if (transport_) transport_->close();
    grpc_->shutdown();
    if (transport_) transport_->wait_ended();
    grpc_->stop();
  }
  if (background_) background_->stop();
}

Status Member::open_store(const NodeOptions& options) {
  EC_ASSIGN(region_, config::named_region(config_, options.region));
  EC_ASSIGN(self_, config::named_node(config_, options.region, options.zone));
  EC_TRY(os::disk().make_dirs(options.data_dir));
  EC_TRY(lock_.take(options.data_dir));
  EC_TRY(claim_folder(os::disk(), options.data_dir, identity_of(config_, self_->id), options.cluster_file));
  store_executor_ = os::ThreadExecutor::start("store");
  background_ = os::ThreadExecutor::start("background");
  const auto laid = config::Paths(config_.dir).founding(options.region, options.zone);
  EC_ASSIGN(const bool may_found, take_founding(os::disk(), laid, options.data_dir));
  store::RuntimeOptions runtime = runtime_options(config_, *self_, options.data_dir, may_found);
  runtime.engine.doubted = options.doubt_state;
  EC_ASSIGN(store_, store::Runtime::open(
                        std::move(runtime), *store_executor_, os::monotonic_clock(), os::wall_clock(),
                        os::secure_random(), os::disk(),
                        [this](NodeId to, std::string batch) {
                          if (auto* transport = transport_ready_.load()) transport->send(to, std::move(batch));
                        },
                        [this](Error error) { stop_because(std::move(error)); }));
  return {};
}

Status Member::hear_peers(const std::function<Status(net::GrpcHost&)>& services) {
  grpc_ = std::make_unique<net::GrpcHost>();
  EC_ASSIGN(transport_, net::PeerTransport::create(
                            transport_options(config_, *region_, *self_, *store_), *grpc_, os::secure_random(),
                            [this](NodeId from, std::string batch) { store_->received(from, std::move(batch)); },
                            [this](NodeId node) { store_->unreachable(node); },
                            [this](Error error) { stop_because(std::move(error)); }));
  if (services) EC_TRY(services(*grpc_));
  EC_TRY(grpc_->start());
  transport_->begin();
  transport_ready_ = transport_.get();
  follow_members();
  return {};
}

// Nodes that were added while the cluster runs, and which the cluster file does not name: where they are reached, the
// membership record says.
void Member::follow_members() {
  const auto view = store_->membership();
  if (Epoch{view->record.epoch()} != members_epoch_) {
    members_epoch_ = Epoch{view->record.epoch()};
    if (const Status same = check_regions(config_, view->record); !same) stop_because(same.error());
    transport_->add(added_peers(view->record));
  }
  background_->post_after(200ms, [this] { follow_members(); });
}

void Member::stop_because(Error error) {
  std::lock_guard lock(fatal_mutex_);
  if (fatal_) return;
  log_error("node: stopping: " + error.message);
  fatal_ = std::move(error);
}

std::optional<Error> Member::fatal() const {
  std::lock_guard lock(fatal_mutex_);
  return fatal_;
}

}  // namespace evercert::node
