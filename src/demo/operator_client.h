// SPDX-License-Identifier: Apache-2.0
// One request at a time with the operator's token, to an edge or straight to one node.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/os/system.h"
#include "config/config.h"
#include "net/http_client.h"

namespace evercert::demo {

class OperatorClient {
 public:
  // Reads the token and the root certificate beside the cluster file. `config` must outlive the client.
  static Result<std::unique_ptr<OperatorClient>> create(const config::ClusterConfig& config);
  ~OperatorClient();

  Result<net::HttpResponse> ask_edge(std::size_t region, const std::string& path);
  Result<net::HttpResponse> ask_node(std::size_t region, std::size_t node, const std::string& path);

  // All certificates in one node's own store: status by serial. kUnavailable.
  Result<std::map<std::string, std::string>> list_store(std::size_t region, std::size_t node);

  const std::string& token() const { return token_; }

 private:
  explicit OperatorClient(const config::ClusterConfig& config) : config_(config) {}
  Result<net::HttpResponse> ask(net::HttpCall call);

  const config::ClusterConfig& config_;
  std::string token_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<os::ThreadExecutor> executor_;
};

}  // namespace evercert::demo
