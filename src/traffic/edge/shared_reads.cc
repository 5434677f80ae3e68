// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/shared_reads.h"

namespace evercert::traffic {

using net::HttpRequest;
using net::HttpResponse;

bool SharedReads::shareable(const HttpRequest& request) {
  if (request.method != "GET" || !request.query.empty()) return false;
  if (!request.path.starts_with("/crl/") && !request.path.starts_with("/ca/")) return false;
  for (const char* of_one : {"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Range"}) {
    if (request.headers.find(of_one)) return false;
  }
  // From another edge: it looks further itself, where others would be sent on by us.
  return !request.headers.find("Evercert-Hop");
}

// Suspends until the flight has landed; goes on at once when this one leads it, or flies by itself.
struct SharedReads::Boards {
  SharedReads& reads;
  const std::string& key;
  Waiter& waiter;
  Boarding boarding = Boarding::kByItself;
  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    waiter.resume = handle;
    boarding = reads.flights_.board(key, Freshness::kAny, &waiter);
    return boarding == Boarding::kWaits;
  }
  Boarding await_resume() const { return boarding; }
};

Task<HttpResponse> SharedReads::get(HttpRequest request, Forwarder& forwarder, EdgeCounters& counters) {
  const std::string key = request.path;
  Waiter waiter;
  Boards boards{*this, key, waiter};
  const Boarding boarding = co_await boards;
  if (boarding == Boarding::kWaits) {
    counters.coalesced.fetch_add(1, std::memory_order_relaxed);
    co_return std::move(*waiter.response);
  }
  HttpResponse response = co_await forwarder.pass_on(std::move(request), std::nullopt);
  if (boarding == Boarding::kByItself) co_return response;
  if (!response.shared_body) {
    response.shared_body = std::make_shared<const std::string>(std::move(response.body));
    response.body.clear();
  }
  auto landing = flights_.landed(key);
  for (Waiter* other : landing.answered) other->response = std::make_unique<HttpResponse>(response);
  for (Waiter* other : landing.answered) other->resume.resume();
  co_return response;
}

}  // namespace evercert::traffic
