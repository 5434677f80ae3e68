// SPDX-License-Identifier: Apache-2.0
// The stock ACME clients lego and certbot as users run them: in every region, one order after another, at the own
// region's directory and, when that fails, at the next region's.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config/config.h"
#include "demo/history.h"
#include "net/http_server.h"

namespace evercert::demo {

class AcmeLoad {
 public:
  // Serves the challenges of all clients at 127.0.0.1:`http01_port`. Clients that are not installed are left out.
  static Result<std::unique_ptr<AcmeLoad>> create(const config::ClusterConfig& config, std::string dir,
                                                  std::uint16_t http01_port, History& history);
  ~AcmeLoad() { stop(); }
  void start();
  void stop();  // no new orders; waits for those under way
  bool has_clients() const { return !clients_.empty(); }

 private:
  struct Client {
    std::string name, program;
  };
  AcmeLoad(const config::ClusterConfig& config, std::string dir, History& history)
      : config_(config), dir_(std::move(dir)), history_(history) {}
  void run(std::size_t region);
  void order(std::size_t region, const Client& client, int number);
  // One run of a client against one region's directory; the certificate's file when it got one.
  Result<std::string> attempt(const Client& client, std::size_t region, std::size_t at, const std::string& name);
  std::string webroot() const { return dir_ + "/webroot"; }

  const config::ClusterConfig& config_;
  std::string dir_;
  History& history_;
  std::vector<Client> clients_;
  std::vector<std::string> issuer_names_;  // DER, by index of the region
  std::unique_ptr<net::HttpServer> challenges_;
  std::vector<std::thread> threads_;
  std::atomic<bool> running_{false};
};

}  // namespace evercert::demo
