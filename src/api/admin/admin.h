// SPDX-License-Identifier: Apache-2.0
// What everybody may fetch (CRLs, CA certificates) and what operators and monitors look at (health, metrics, status).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/rest/router.h"
#include "store/runtime.h"

namespace prometheus {
class Registry;
}

namespace evercert::api {

struct AdminOptions {
  NodeId self;
  RegionId region;
  std::vector<std::string> region_names;  // by RegionId, from 1
  std::string root_pem, bundle_pem;
  std::map<std::string, std::string> issuer_ders;  // by region name
};

class Admin {
 public:
  Admin(AdminOptions options, store::Runtime& store, WallClock& wall);
  ~Admin();
  void mount(Router& router);
  // Counts an answered request.
  void count(const std::string& route, int status, double seconds);
  // Before mount(): a number that another part counts up, one of the metric `name`, told apart by `label` = `value`.
  struct Watched {
    std::string name, help, label, value;
    std::function<std::uint64_t()> read;
  };
  void watch(Watched counter) { watched_.push_back(std::move(counter)); }

 private:
  net::HttpResponse status() const;
  net::HttpResponse ready() const;
  net::HttpResponse metrics();
  net::HttpResponse crl(const net::HttpRequest& request, const std::string& file);
  net::HttpResponse ca_certificate(const std::string& file) const;

  struct Metrics;
  AdminOptions options_;
  store::Runtime& store_;
  WallClock& wall_;
  std::unique_ptr<Metrics> metrics_;
  std::vector<Watched> watched_;
};

}  // namespace evercert::api
