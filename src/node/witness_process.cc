// SPDX-License-Identifier: Apache-2.0
#include "node/witness_process.h"

#include <atomic>
#include <mutex>

#include "api/admin/admin.h"
#include "base/log.h"
#include "base/os/system.h"
#include "config/paths.h"
#include "net/http_server.h"
#include "net/peer_transport.h"
#include "node/data_identity.h"
#include "node/dir_lock.h"
#include "node/founding.h"
#include "node/store_setup.h"

namespace evercert::node {
namespace {

class WitnessProcess : public NodeProcess {
 public:
  WitnessProcess(NodeOptions options, config::ClusterConfig config)
      : options_(std::move(options)), config_(std::move(config)) {}

  ~WitnessProcess() override {
    if (server_) server_->stop(0ms);
    if (store_) store_->stop();
    if (grpc_) {
      if (transport_) transport_->close();
      grpc_->shutdown();
      if (transport_) transport_->wait_ended();
      grpc_->stop();
    }
    if (background_) background_->stop();
    server_.reset();
    store_executor_.reset();
    store_.reset();
  }

  Status open() {
    EC_ASSIGN(region_, config::named_region(config_, options_.region));
    EC_ASSIGN(self_, config::named_node(config_, options_.region, options_.zone));
    EC_TRY(os::disk().make_dirs(options_.data_dir));
    EC_TRY(lock_.take(options_.data_dir));
    EC_TRY(claim_folder(os::disk(), options_.data_dir, identity_of(config_, self_->id), options_.cluster_file));
    store_executor_ = os::ThreadExecutor::start("store");
    background_ = os::ThreadExecutor::start("background");
    const auto laid = config::Paths(config_.dir).founding(options_.region, options_.zone);
    EC_ASSIGN(const bool may_found, take_founding(os::disk(), laid, options_.data_dir));
    EC_ASSIGN(store_, store::Runtime::open(
                          runtime_options(config_, *self_, options_.data_dir, may_found), *store_executor_,
                          os::monotonic_clock(), os::wall_clock(), os::secure_random(), os::disk(),
                          [this](NodeId to, std::string batch) {
                            if (auto* transport = transport_ready_.load()) transport->send(to, std::move(batch));
                          },
                          [this](Error error) { stop_because(std::move(error)); }));
    EC_TRY(open_peers());
    return open_status();
  }

  void drain(Duration patience) override {
    grpc_->drain(patience);
    server_->drain(patience);
  }

  std::optional<Error> fatal() const override {
    std::lock_guard lock(fatal_mutex_);
    return fatal_;
  }

 private:
  void stop_because(Error error) {
    std::lock_guard lock(fatal_mutex_);
    if (fatal_) return;
    log_error("node: stopping: " + error.message);
    fatal_ = std::move(error);
  }

  Status open_peers() {
    grpc_ = std::make_unique<net::GrpcHost>();
    EC_ASSIGN(transport_, net::PeerTransport::create(
                              transport_options(config_, *region_, *self_, *store_), *grpc_, os::secure_random(),
                              [this](NodeId from, std::string batch) { store_->received(from, std::move(batch)); },
                              [this](NodeId node) { store_->unreachable(node); },
                              [this](Error error) { stop_because(std::move(error)); }));
    EC_TRY(grpc_->start());
    transport_->begin();
    transport_ready_ = transport_.get();
    follow_members();
    return {};
  }

  void follow_members() {
    const auto view = store_->membership();
    if (Epoch{view->record.epoch()} != members_epoch_) {
      members_epoch_ = Epoch{view->record.epoch()};
      if (const Status same = check_regions(config_, view->record); !same) stop_because(same.error());
      transport_->add(added_peers(view->record));
    }
    background_->post_after(200ms, [this] { follow_members(); });
  }

  Status open_status() {
    api::AdminOptions admin;
    admin.self = self_->id;
    admin.region = region_->id;
    admin.witness = true;
    for (const auto& region : config_.regions) admin.region_names.push_back(region.name);
    admin_ = std::make_unique<api::Admin>(std::move(admin), *store_, os::wall_clock());
    admin_->mount(router_);
    net::HttpServerOptions options;
    options.threads = 1;
    options.listeners.push_back({self_->address, self_->status_port, false, {}, net::ClientCertificates::kNone});
    EC_ASSIGN(server_, net::HttpServer::start(
                           options, [this](net::HttpRequest request) { return router_.route(std::move(request)); }));
    return {};
  }

  NodeOptions options_;
  config::ClusterConfig config_;
  const config::RegionConfig* region_ = nullptr;
  const config::NodeConfig* self_ = nullptr;
  DirLock lock_;
  std::unique_ptr<os::ThreadExecutor> store_executor_, background_;
  std::unique_ptr<store::Runtime> store_;
  std::unique_ptr<net::GrpcHost> grpc_;
  std::unique_ptr<net::PeerTransport> transport_;
  std::atomic<net::PeerTransport*> transport_ready_{nullptr};
  Epoch members_epoch_;
  std::unique_ptr<api::Admin> admin_;
  api::Router router_;
  std::unique_ptr<net::HttpServer> server_;
  mutable std::mutex fatal_mutex_;
  std::optional<Error> fatal_;
};

}  // namespace

Result<std::unique_ptr<NodeProcess>> start_witness(NodeOptions options, config::ClusterConfig config) {
  auto process = std::make_unique<WitnessProcess>(std::move(options), std::move(config));
  EC_TRY(process->open());
  return process;
}

}  // namespace evercert::node
