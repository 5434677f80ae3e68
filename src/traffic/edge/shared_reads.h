// SPDX-License-Identifier: Apache-2.0
// Equal reads (CRLs, issuers' certificates) are sent to a node once (policy/single_flight.h). A new CRL is fetched by a
// great many at the same moment. Who comes while one is on its way may know of a list that is newer than what that one
// has read: those share the next one.
#pragma once

#include <coroutine>
#include <memory>
#include <string>

#include "net/http.h"
#include "traffic/edge/counters.h"
#include "traffic/edge/forwarder.h"
#include "traffic/policy/single_flight.h"

namespace evercert::traffic {

// One thread of the server.
class SharedReads {
 public:
  // Nothing in it may make the answer another one.
  static bool shareable(const net::HttpRequest& request);
  Task<net::HttpResponse> get(net::HttpRequest request, Forwarder& forwarder, EdgeCounters& counters);

 private:
  static Task<net::HttpResponse> whole(Executor& on, net::HttpResponse response);
  struct Waiter {
    std::coroutine_handle<> resume;
    std::unique_ptr<net::HttpResponse> response;  // null: none that can be shared
    bool leads = false;                           // it asks, for those who wait behind it
  };
  struct Boards;
  SingleFlight<std::string, Waiter*> flights_{256, 4096};
};

}  // namespace evercert::traffic
