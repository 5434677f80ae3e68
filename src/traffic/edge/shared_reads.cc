// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/shared_reads.h"

#include "net/body.h"

namespace evercert::traffic {
namespace {

constexpr std::size_t kMostShared = 20 << 20;

}  // namespace

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
    boarding = reads.flights_.board(key, key.starts_with("/ca/") ? Freshness::kAny : Freshness::kFresh, &waiter);
    return boarding == Boarding::kWaits;
  }
  Boarding await_resume() const { return boarding; }
};

// What many wait for is held once, for all of them. What is too large for that stays in pieces, for one.
Task<HttpResponse> SharedReads::whole(Executor& on, HttpResponse response) {
  if (response.length.value_or(kMostShared + 1) > kMostShared) co_return response;
  auto collecting = net::collect(on, *response.source, kMostShared);
  auto body = co_await std::move(collecting);
  if (!body) co_return net::problem(502, net::reason_phrase(502), "the answer broke off: " + body.error().message);
  response.source.reset();
  response.length.reset();
  response.body = std::move(*body);
  co_return response;
}

Task<HttpResponse> SharedReads::get(HttpRequest request, Forwarder& forwarder, EdgeCounters& counters) {
  const std::string key = request.path;
  Waiter waiter;
  Boards boards{*this, key, waiter};
  const Boarding boarding = co_await boards;
  if (boarding == Boarding::kWaits && !waiter.leads) {
    if (!waiter.response) co_return co_await forwarder.pass_on(std::move(request), std::nullopt);
    counters.coalesced.fetch_add(1, std::memory_order_relaxed);
    co_return std::move(*waiter.response);
  }
  Executor& on = *request.executor;
  HttpResponse response = co_await forwarder.pass_on(std::move(request), std::nullopt);
  if (boarding == Boarding::kByItself) co_return response;
  auto landing = flights_.landed(key);
  if (landing.leads) {
    (*landing.leads)->leads = true;
    (*landing.leads)->resume.resume();
  }
  if (response.source) {
    if (landing.answered.empty()) co_return response;  // nobody to share it with: as it comes
    response = co_await whole(on, std::move(response));
  }
  if (!response.shared_body && !response.source) {
    response.shared_body = std::make_shared<const std::string>(std::move(response.body));
    response.body.clear();
  }
  if (!response.source) {
    for (Waiter* other : landing.answered) other->response = std::make_unique<HttpResponse>(response);
  }
  for (Waiter* other : landing.answered) other->resume.resume();
  co_return response;
}

}  // namespace evercert::traffic
