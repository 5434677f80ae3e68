// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/forwarding.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"

namespace evercert::traffic {
namespace {

constexpr std::size_t kRequestIdBytes = 15;
constexpr int kMostAttempts = 1'000'000;

bool same(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y; });
}

// Of one connection, not of the request (RFC 9110 section 7.6.1), or made anew on the next one.
bool of_connection(std::string_view name) {
  switch (name.size()) {
    case 2: return same(name, "te");
    case 6: return same(name, "expect");
    case 7: return same(name, "upgrade");
    case 10: return same(name, "connection") || same(name, "keep-alive");
    case 14: return same(name, "content-length");
    case 17: return same(name, "transfer-encoding");
    default: return false;
  }
}

bool trusted(std::string_view name) {
  if (name.size() > kEvercertPrefix.size() && same(name.substr(0, kEvercertPrefix.size()), "evercert-")) return true;
  switch (name.size()) {
    case 15: return same(name, "x-forwarded-for");
    case 16: return same(name, "x-forwarded-host");
    case 17: return same(name, "x-forwarded-proto");
    default: return false;
  }
}

}  // namespace

net::Headers forwarded_headers(const net::HttpRequest& request, bool from_edge, Random& random) {
  net::Headers headers;
  std::string host;
  bool has_key = false;
  for (const auto& [name, value] : request.headers.all()) {
    if (of_connection(name) || (!from_edge && trusted(name))) continue;
    if (name.size() == 4 && same(name, "host")) host = value;
    has_key = has_key || (name.size() == 15 && same(name, "idempotency-key"));
    headers.add(name, value);
  }
  if (from_edge) return headers;
  headers.add("X-Forwarded-For", request.peer_address);
  headers.add("X-Forwarded-Host", std::move(host));
  headers.add("X-Forwarded-Proto", request.tls ? "https" : "http");
  if (!request.client_identity.empty()) headers.add(std::string(kClientIdentity), request.client_identity);
  if (!has_key && request.method == "POST" && request.path.starts_with("/v1/certificates"))
    headers.add(std::string(kRequestId), to_hex(random.bytes(kRequestIdBytes)));
  return headers;
}

std::string_view client_name(const net::HttpRequest& request) {
  if (!request.client_identity.empty()) return request.client_identity;
  return request.headers.find("Authorization").value_or(request.peer_address);
}

int earlier_attempts(const net::Headers& headers) {
  const auto text = headers.find(kAttempt);
  int attempts = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), attempts);
  return std::clamp(attempts, 0, kMostAttempts);
}

}  // namespace evercert::traffic
