// SPDX-License-Identifier: Apache-2.0
// What a node's HTTP requests are in kind: for its counters and for its load. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace evercert::node {

// The label of a metric is what was asked for in kind, never what a client wrote.
inline std::string route_of(std::string_view path) {
  for (const char* known : {"/v1/certificates",
                            "/v1/kv",
                            "/v1/watch",
                            "/v1/leases",
                            "/v1/locks",
                            "/v1/compaction",
                            "/v1/regions",
                            "/v1/nodes",
                            "/v1/queued",
                            "/v1/reconciliations",
                            "/v1/health",
                            "/v1/failover",
                            "/v1/capacity",
                            "/acme",
                            "/ocsp",
                            "/crl",
                            "/ca",
                            "/v1/status",
                            "/metrics",
                            "/readyz",
                            "/healthz"}) {
    if (path.starts_with(known)) return known;
  }
  return "other";
}

// What clients come for; not what looks at the node, and not what waits for news on purpose.
inline bool is_work(std::string_view path) {
  for (const char* other : {"/v1/health", "/v1/failover", "/v1/capacity", "/v1/status", "/v1/watch", "/v1/locks",
                            "/metrics", "/readyz", "/healthz"}) {
    if (path.starts_with(other)) return false;
  }
  return true;
}

}  // namespace evercert::node
