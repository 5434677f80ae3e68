// SPDX-License-Identifier: Apache-2.0
// The operator's hand on membership: who serves, and fence, unfence, drain. /v1/regions; errors are RFC 7807 problems.
#pragma once

#include <string>
#include <vector>

#include "api/rest/rest.h"
#include "api/rest/router.h"
#include "store/store.h"

namespace evercert::api {

class Regions {
 public:
  // Everything given outlives it. `rest` knows who may do what; `names` by RegionId, from 1.
  Regions(const Rest& rest, store::Store& store, std::vector<std::string> names)
      : rest_(rest), store_(store), names_(std::move(names)) {}
  void mount(Router& router);

 private:
  using Response = Task<net::HttpResponse>;
  Response list(net::HttpRequest request);
  // 404: no such region. 409: it is in that state already, or the last that serves.
  Response change(net::HttpRequest request, std::string name, store::v1::RegionState state);
  // Waits a little until the epoch is known here and the region's fence is carried out in all home groups.
  Task<void> settle(Executor& on, RegionId region, std::uint64_t epoch);

  const Rest& rest_;
  store::Store& store_;
  std::vector<std::string> names_;
};

}  // namespace evercert::api
