// SPDX-License-Identifier: Apache-2.0
#include "node/witness_process.h"

#include "api/admin/admin.h"
#include "net/http_server.h"
#include "node/member.h"

namespace evercert::node {
namespace {

class WitnessProcess : public NodeProcess {
 public:
  explicit WitnessProcess(std::unique_ptr<Member> member) : member_(std::move(member)) {}

  ~WitnessProcess() override {
    if (server_) server_->stop(0ms);
    member_->stop();
  }

  Status open() {
    EC_TRY(member_->hear_peers());
    api::AdminOptions admin;
    admin.self = member_->self().id;
    admin.region = member_->region().id;
    admin.witness = true;
    for (const auto& region : member_->config().regions) admin.region_names.push_back(region.name);
    admin_ = std::make_unique<api::Admin>(std::move(admin), member_->store(), os::wall_clock());
    admin_->mount(router_);
    const config::NodeConfig& self = member_->self();
    net::HttpServerOptions options;
    options.threads = 1;
    options.listeners.push_back({self.address, self.status_port, false, {}, net::ClientCertificates::kNone});
    EC_ASSIGN(server_, net::HttpServer::start(
                           options, [this](net::HttpRequest request) { return router_.route(std::move(request)); }));
    return {};
  }

  void drain(Duration patience) override {
    member_->drain(patience);
    server_->drain(patience);
  }

  std::optional<Error> fatal() const override { return member_->fatal(); }

 private:
  std::unique_ptr<Member> member_;  // goes last
  std::unique_ptr<api::Admin> admin_;
  api::Router router_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace

Result<std::unique_ptr<NodeProcess>> start_witness(const NodeOptions& options, config::ClusterConfig config) {
  EC_ASSIGN(auto member, Member::open(options, std::move(config)));
  auto process = std::make_unique<WitnessProcess>(std::move(member));
  EC_TRY(process->open());
  return process;
}

}  // namespace evercert::node
