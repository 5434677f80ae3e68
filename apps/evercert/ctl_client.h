// SPDX-License-Identifier: Apache-2.0
// What all subcommands of ctl share: any region will do; when one does not answer, the next is asked.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/os/system.h"
#include "config/config.h"
#include "net/http_client.h"

namespace evercert::apps {

struct CtlOptions {
  std::string cluster_file = "evercert-cluster/cluster.yaml", region;
  bool as_json = false;
};

class Ctl {
 public:
  static Result<Ctl> open(const CtlOptions& options);
  const config::ClusterConfig& cluster() const { return config_; }
  // One request to one place, with the operator's token.
  Result<net::HttpResponse> call_target(net::HttpTarget target, const std::string& method, const std::string& path,
                                        const std::string& body, const std::string& key = "");
  // Tries the regions in turn. A key makes the repetition exact.
  Result<net::HttpResponse> call(const std::string& method, const std::string& path, const std::string& body = "");

 private:
  config::ClusterConfig config_;
  std::string token_;
  std::vector<const config::RegionConfig*> regions_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<os::ThreadExecutor> executor_ = os::ThreadExecutor::start("ctl");
};

// Prints a problem document as one line; the exit code that fits.
int complain(const net::HttpResponse& response);
// When an operation was not done but queued (202): says so, and true.
bool told_queued(const nlohmann::json& document);
// Prints an answer, as JSON or by `human`; the exit code that fits.
int show(const CtlOptions& options, Result<net::HttpResponse> response,
         const std::function<void(const nlohmann::json&)>& human);

}  // namespace evercert::apps
