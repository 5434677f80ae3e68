// SPDX-License-Identifier: Apache-2.0
#include "net/http_metrics.h"

#include <algorithm>

namespace evercert::net {
namespace {

void add(std::string& out, const char* name, const char* type, std::int64_t value) {
  out += std::string("# TYPE ") + name + " " + type + "\n" + name + " " + std::to_string(value) + "\n";
}

void add(std::string& out, const char* name, const HttpCounts::Count& count) {
  add(out, name, "counter", static_cast<std::int64_t>(count.load()));
}

}  // namespace

std::string http_metrics(const HttpShared& shared, const std::vector<std::shared_ptr<ServerTls>>& tls) {
  const HttpCounts& counts = shared.counts;
  std::string out;
  add(out, "evercert_http_connections", "gauge", static_cast<std::int64_t>(shared.connections.load()));
  add(out, "evercert_http_connections_total", counts.connections);
  add(out, "evercert_http_connections_turned_away_total", counts.turned_away);
  add(out, "evercert_http_clients_turned_away_total", counts.turned_away_by_client);
  add(out, "evercert_http_wrong_proxy_headers_total", counts.wrong_proxy_headers);
  add(out, "evercert_http2_connections_total", counts.http2_connections);
  add(out, "evercert_http2_faults_total", counts.http2_faults);
  if (shared.access_log) {
    add(out, "evercert_access_log_lines_total", "counter", static_cast<std::int64_t>(shared.access_log->lines()));
    add(out, "evercert_access_log_dropped_total", "counter", static_cast<std::int64_t>(shared.access_log->dropped()));
  }
  if (tls.empty()) return out;
  out += "# TYPE evercert_tls_handshakes_total counter\n";
  for (const auto& [how, count] : {std::pair{"full", &counts.full_handshakes},
                                   {"resumed", &counts.resumed_handshakes},
                                   {"failed", &counts.failed_handshakes}})
    out += std::string("evercert_tls_handshakes_total{how=\"") + how + "\"} " + std::to_string(count->load()) + "\n";
  std::int64_t expiry = tls.front()->certificate_expiry(), reloads = 0, failures = 0;
  for (const auto& one : tls) {
    expiry = std::min(expiry, one->certificate_expiry());
    reloads += static_cast<std::int64_t>(one->reloads());
    failures += static_cast<std::int64_t>(one->failed_reloads());
  }
  add(out, "evercert_tls_certificate_expiry_seconds", "gauge", expiry);
  add(out, "evercert_tls_reloads_total", "counter", reloads);
  add(out, "evercert_tls_failed_reloads_total", "counter", failures);
  return out;
}

}  // namespace evercert::net
