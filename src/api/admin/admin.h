// SPDX-License-Identifier: Apache-2.0
// What everybody may fetch (CRLs, CA certificates) and what operators and monitors look at (health, metrics, status).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/rest/router.h"
#include "degraded/desk.h"
#include "degraded/mode_keeper.h"
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
  bool witness = false;                            // nobody fetches anything here
};

class Admin {
 public:
  Admin(AdminOptions options, store::Runtime& store, WallClock& wall);
  ~Admin();
  void mount(Router& router);
  // Counts an answered request.
  void count(const std::string& route, int status, double seconds);
  // What count() was told, in all.
  struct Served {
    std::uint64_t requests = 0, failed = 0;  // failed: 5xx but 503, which says that nothing was done
    std::uint64_t microseconds = 0;
  };
  Served served() const { return {requests_.load(), failed_.load(), microseconds_.load()}; }
  // Before mount(): a number of another part, one of the metric `name`, told apart by `label` = `value`: it counts up,
  // or is a gauge.
  struct Watched {
    std::string name, help, label, value;
    std::function<std::uint64_t()> read;
    bool gauge = false;
  };
  void watch(Watched counter) { watched_.push_back(std::move(counter)); }
  // Before mount(): the mode of the node and its queue, for status and metrics.
  void tell_of(const degraded::ModeKeeper& mode, const degraded::Desk& desk) {
    mode_ = &mode;
    desk_ = &desk;
  }

 private:
  net::HttpResponse status() const;
  net::HttpResponse ready() const;
  net::HttpResponse metrics();
  void set_degraded_metrics();
  net::HttpResponse crl(const net::HttpRequest& request, const std::string& file);
  net::HttpResponse ca_certificate(const std::string& file) const;

  std::atomic<std::uint64_t> requests_{0}, failed_{0}, microseconds_{0};
  struct Metrics;
  AdminOptions options_;
  store::Runtime& store_;
  WallClock& wall_;
  std::unique_ptr<Metrics> metrics_;
  std::vector<Watched> watched_;
  const degraded::ModeKeeper* mode_ = nullptr;
  const degraded::Desk* desk_ = nullptr;
};

}  // namespace evercert::api
