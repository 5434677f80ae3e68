// SPDX-License-Identifier: Apache-2.0
// The key space by REST: /v1/kv, /v1/watch, /v1/leases, /v1/locks, /v1/compaction. See docs/coordination.md; errors are
// RFC 7807 problems.
#pragma once

#include "api/coordination/locks.h"
#include "api/rest/rest.h"
#include "api/rest/router.h"
#include "coordination/watch_hub.h"

namespace evercert::api {

class RestSpace {
 public:
  // Everything given outlives it. `rest` knows who may do what.
  RestSpace(const Rest& rest, Coordinator& coordinator, Locks& locks, coordination::WatchHub& hub)
      : rest_(rest), coordinator_(coordinator), locks_(locks), hub_(hub) {}
  void mount(Router& router);

 private:
  using Response = Task<net::HttpResponse>;
  Response get(net::HttpRequest request, std::string key);
  Response put(net::HttpRequest request, std::string key);
  Response remove(net::HttpRequest request, std::string key);
  Response watch(net::HttpRequest request, std::string key);
  Response compact(net::HttpRequest request);
  Response grant(net::HttpRequest request);
  Response leases(net::HttpRequest request);
  Response lease(net::HttpRequest request, std::string id);
  Response renew(net::HttpRequest request, std::string id);
  Response revoke(net::HttpRequest request, std::string id);
  Response lock(net::HttpRequest request, std::string name);
  Response holder(net::HttpRequest request, std::string name);
  Response proclaim(net::HttpRequest request, std::string name);
  Response unlock(net::HttpRequest request, std::string name);

  const Rest& rest_;
  Coordinator& coordinator_;
  Locks& locks_;
  coordination::WatchHub& hub_;
};

}  // namespace evercert::api
