// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/forwarder.h"

#include <array>

#include "net/link_delay.h"
#include "traffic/edge/forwarding.h"
#include "traffic/policy/deadline.h"
#include "traffic/policy/hedge.h"
#include "traffic/policy/retry.h"
#include "traffic/policy/sticky.h"

namespace evercert::traffic {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr std::size_t kWholeBelow = 128 << 10;  // of another region's edge: a larger answer comes in pieces
constexpr Duration kTooLate = 50ms;             // with less time left nothing more is begun

std::string_view words_for(Criticality of) {
  switch (of) {
    case Criticality::kIssuance: return "new issuance and single reads wait";
    case Criticality::kListing: return "listings wait";
    case Criticality::kFutile: return "clients whose requests have failed again and again wait";
    case Criticality::kRenewal: return "renewals wait";
    default: return "all is taken";
  }
}

HttpResponse turned_away(int status, std::string_view detail, bool acme, Duration after) {
  // RFC 8555 section 6.7 has types of its own.
  const std::string_view type = !acme           ? "about:blank"
                                : status == 429 ? "urn:ietf:params:acme:error:rateLimited"
                                                : "urn:ietf:params:acme:error:serverInternal";
  HttpResponse response = net::problem(status, net::reason_phrase(status), detail, type);
  response.headers.set("Retry-After", std::to_string(retry_after_seconds(after)));
  return response;
}

std::string_view words_for(RateScope scope) {
  switch (scope) {
    case RateScope::kPrefix: return "requests from your network";
    case RateScope::kAccount: return "requests with this token";
    default: return "requests from you";
  }
}

}  // namespace

// A request that was let in.
struct Forwarder::Passing {
  net::LinkCall call;
  std::string path;
  Criticality of = Criticality::kIssuance;
  bool from_edge = false, may_leave = true;
  bool has_id = false, has_key = false;
  int attempt = 0;
  Instant deadline;
  std::shared_ptr<Upload> upload;  // of a body in pieces
  std::optional<std::size_t> preferred;
  Backends::Tried avoid;  // at first
  Backends::Tried elsewhere;
};

Forwarder::Forwarder(Parts parts)
    : to_(parts), edge_prefix_("evercert://" + parts.options.cluster + "/edge/"), cutoffs_(parts.clock, lanes_) {}

Task<HttpResponse> Forwarder::pass_on(HttpRequest request, std::optional<std::size_t> preferred) {
  const Instant arrived = to_.clock.now();
  const bool from_edge = request.client_identity.starts_with(edge_prefix_);
  const auto ruling = to_.guests.rule(request, from_edge, arrived);
  auto& counts = to_.counters.of(ruling.of);
  const bool acme = request.path.starts_with("/acme/");
  if (ruling.refused) {
    counts.rate.fetch_add(1, std::memory_order_relaxed);
    co_return turned_away(429, std::string("too many ") + std::string(words_for(ruling.refused->by)), acme,
                          ruling.refused->retry_after);
  }
  Duration told = kLongestDeadline;
  if (const auto text = request.headers.find(kDeadlineHeader); text && from_edge) {
    const auto parsed = parse_deadline(*text);
    if (!parsed) co_return net::problem(parsed.error());
    told = *parsed;
  }
  Passing passing;
  passing.deadline = Deadline(arrived, to_.options.request_timeout, told).at();
  Entrance::Entering entering = to_.entrance.enter(*request.executor, ruling.of);
  const Entrance::Entered entered = co_await entering;
  if (entered.waited > Duration{0}) {
    counts.waited.fetch_add(1, std::memory_order_relaxed);
    counts.waited_us.fetch_add(static_cast<std::uint64_t>(entered.waited.count()), std::memory_order_relaxed);
  }
  if (!entered.in) {
    counts.overload.fetch_add(1, std::memory_order_relaxed);
    co_return turned_away(503, "this region has more to do than it can: " + std::string(words_for(ruling.of)), acme,
                          Admission::retry_after(ruling.of));
  }
  counts.passed_on.fetch_add(1, std::memory_order_relaxed);
  const std::string guest = to_.guests.guest_of(request, from_edge);
  Executor& on = *request.executor;
  passing.of = ruling.of;
  passing.from_edge = from_edge;
  passing.may_leave = !(from_edge && request.headers.find(kHop));
  passing.avoid = to_.releases.avoid(request);
  const std::string client = from_edge ? request.headers.get("X-Forwarded-For") : request.peer_address;
  const auto way = to_.shares.way(client, passing.may_leave && may_be_led_away(ruling.of, request.path));
  passing.avoid |= way.avoid;
  passing.elsewhere = way.elsewhere;
  passing.preferred = preferred ? preferred : place_of(request, ruling.account, passing.avoid);
  passing.call.headers = forwarded_headers(request, from_edge, to_.random);
  passing.call.method = std::move(request.method);
  passing.call.target = std::move(request.target);
  passing.call.body = std::move(request.body);
  if (request.source) {
    passing.upload = std::make_shared<Upload>(std::move(request.source), to_.clock, passing.deadline - to_.clock.now());
    passing.call.source = passing.upload;
    passing.call.length = request.length;
  }
  passing.path = std::move(request.path);
  passing.has_id = passing.call.headers.find(kRequestId).has_value();
  passing.has_key = passing.has_id || passing.call.headers.find("Idempotency-Key");
  passing.attempt = passing.has_id ? earlier_attempts(passing.call.headers) : 0;
  HttpResponse response = co_await carry(on, passing);
  const Instant now = to_.clock.now();
  counts.took.record(now - arrived);
  if (response.status >= 500) counts.failed.fetch_add(1, std::memory_order_relaxed);
  std::optional<bool> renewal;
  if (const auto said = response.headers.find(kRenewal)) renewal = *said == "yes";
  if (renewal && !from_edge) response.headers.remove(kRenewal);
  to_.guests.answered(guest, ruling, response.status, renewal, now);
  co_return response;
}

// The node where the client was before.
std::optional<std::size_t> Forwarder::place_of(const HttpRequest& request, const std::string& account,
                                               const Backends::Tried& avoid) const {
  const Sticky sticky = to_.options.sticky;
  std::string_view name = account;
  if (name.empty() && sticky == Sticky::kAll) name = client_name(request);
  if (sticky == Sticky::kOff || name.empty()) return std::nullopt;
  std::array<StickyPlace, Upstream::kMost> places;
  const std::size_t nodes = to_.backends.nodes();
  to_.backends.with([&](const Upstream& upstream, Instant now) {
    for (std::size_t at = 0; at < nodes; ++at)
      places[at] = {to_.backends[at].hash, upstream.in_flight(at),
                    !avoid.test(at) && upstream.standing(at, now) == Standing::kGood};
  });
  return sticky_place(stable_hash(name), {places.data(), nodes});
}

// To one endpoint after the other until one has answered.
Task<HttpResponse> Forwarder::carry(Executor& on, Passing& passing) {
  net::LinkCall& call = passing.call;
  to_.backends.request();
  Error last{Code::kUnavailable, "no node of any region could be reached"};
  std::optional<HttpResponse> refused;
  std::optional<std::size_t> queuer;  // who would keep it until there is a majority again
  Backends::Tried tried;
  Backends::Wish wish{.of = passing.of,
                      .may_leave_region = passing.may_leave,
                      .may_probe = may_retry(Code::kUnknownOutcome, call.method, passing.path, passing.has_key),
                      .preferred = passing.preferred,
                      .avoid = passing.avoid,
                      .elsewhere = passing.elsewhere};
  // What is led to another region takes longer than usual, and is not to come back for that.
  const bool raced = may_hedge(call.method, passing.path) && passing.elsewhere.none() && !passing.upload;
  bool elsewhere = false;  // to ask further is no repetition then, and takes nothing from their budget
  for (bool first = true;; first = false) {
    const Duration left = (passing.upload ? *passing.upload->deadline() : passing.deadline) - to_.clock.now();
    if (left <= kTooLate) break;
    // What somebody has had a piece of cannot be given to another one.
    if (passing.upload && passing.upload->begun()) break;
    wish.repeats = !first && !std::exchange(elsewhere, false);
    wish.refused = refused.has_value();
    const auto attempt = to_.backends.begin(tried, wish);
    if (!attempt && attempt.error().code == Code::kDenied)
      to_.counters.retries_denied.fetch_add(1, std::memory_order_relaxed);
    if (!attempt) break;
    if (wish.repeats) to_.counters.retries.fetch_add(1, std::memory_order_relaxed);
    wish.preferred.reset();
    wish.avoid.reset();
    wish.elsewhere.reset();
    call.headers.set(kDeadlineHeader, format_deadline(left));
    if (passing.has_id) call.headers.set(kAttempt, std::to_string(++passing.attempt));
    Result<HttpResponse> result = fail(Code::kInternal, "");
    if (raced) {
      result = co_await ask_raced(on, *attempt, call, tried, wish, passing.avoid, passing.deadline);
    } else {
      result = co_await ask(on, attempt->endpoint, call, left, passing.upload.get());
      ended(*attempt, result, passing.upload ? *passing.upload->deadline() : passing.deadline);
    }
    // Of another region's edge whose node fell silent: repeated by its id, it is done once wherever it is done.
    const bool unknown = result && result->status == 504 && to_.backends[attempt->endpoint].remote && wish.may_probe;
    if (unknown) result = fail(Code::kUnknownOutcome, "another region's edge does not know what became of it");
    if (result && result->status != 503) {
      if (!result->headers.find("Evercert-Region")) result->headers.add("Evercert-Region", to_.options.region_name);
      co_return std::move(*result);
    }
    // Who keeps it elsewhere, or leaves, has done nothing, and is not asked again.
    elsewhere = result && (result->headers.find(kElsewhere) || result->headers.find(kDraining));
    if (result) {  // 503: nothing was done there; another may do it
      if (!queuer && result->headers.find(kMayQueue)) queuer = attempt->endpoint;
      refused = std::move(*result);
      continue;
    }
    const Code code = result.error().code;
    // What may have happened at one is not undone by another that could not be reached: nobody is told that nothing
    // was.
    if (last.code == Code::kUnavailable) last = result.error();
    if (!may_retry(code, call.method, passing.path, passing.has_key)) break;
  }
  if (!refused || last.code != Code::kUnavailable) co_return net::problem(last);
  if (!queuer || passing.upload) co_return std::move(*refused);
  // Another edge that asked first looks further itself.
  if (passing.from_edge) {
    refused->headers.set(kMayQueue, "yes");
    co_return std::move(*refused);
  }
  co_return co_await have_queued(on, passing, *queuer, std::move(*refused));
}

void Forwarder::ended(const Attempt& attempt, const Result<HttpResponse>& result, Instant deadline) {
  ended(attempt, outcome_of(result, to_.clock.now() >= deadline));
  // Another region's edge says it of one of its nodes.
  if (result && !to_.backends[attempt.endpoint].remote && result->headers.find(kDraining))
    to_.backends.set_draining(attempt.endpoint, Backends::Drained::kByItself, true);
}

void Forwarder::ended(const Attempt& attempt, Outcome outcome) {
  to_.backends.finished(attempt, outcome);
  to_.releases.finished(attempt, outcome);
  to_.entrance.room();
}

// Nobody could do it, surely nobody has begun: so it waits with one who offered to keep it.
Task<HttpResponse> Forwarder::have_queued(Executor& on, Passing& passing, std::size_t queuer, HttpResponse refused) {
  passing.call.headers.set(kQueue, "yes");
  const Duration left = passing.deadline - to_.clock.now();
  if (left > kTooLate) {
    auto queued = co_await ask(on, queuer, passing.call, left);
    if (!queued && queued.error().code != Code::kUnavailable) co_return net::problem(queued.error());
    if (queued) refused = std::move(*queued);
  }
  refused.headers.remove(kMayQueue);
  if (!refused.headers.find("Evercert-Region")) refused.headers.add("Evercert-Region", to_.options.region_name);
  co_return std::move(refused);
}

Task<Result<HttpResponse>> Forwarder::ask(Executor& on, std::size_t backend, const net::LinkCall& call, Duration left,
                                          const Upload* upload) {
  const Backend& asked = to_.backends[backend];
  auto asking = asked.remote ? ask_edge(on, backend, call, left) : to_.link.call(on, asked.link, call, left);
  Result<HttpResponse> result = fail(Code::kInternal, "");
  if (upload != nullptr) {
    Cutoffs::Waits waits = cutoffs_.wait(on, std::move(asking), upload->deadline());
    result = co_await waits;
  } else {
    Cutoffs::Waits waits = cutoffs_.wait(on, std::move(asking), to_.clock.now() + left);
    result = co_await waits;
  }
  if (result && result->source)
    result->source = std::make_shared<Download>(std::move(result->source), backend, to_.backends, to_.counters);
  co_return result;
}

Task<Result<HttpResponse>> Forwarder::ask_edge(Executor& on, std::size_t backend, const net::LinkCall& call,
                                               Duration left) {
  const EdgeEndpoint& asked = to_.backends[backend].endpoint;
  net::HttpCall out;
  out.target = asked.target;
  out.method = call.method;
  out.path = call.target;
  out.headers = call.headers;
  out.headers.set(kHop, to_.options.region_name);
  out.headers.set(kDeadlineHeader, format_deadline(left - kTooLate));
  out.body = call.body;
  out.source = call.source;
  out.length = call.length;
  out.whole_below = kWholeBelow;
  out.timeout = left;
  out.emulated_round_trip = net::sample_round_trip(to_.options.delays, to_.options.region, asked.region, to_.random);
  auto result = co_await to_.client.fetch(on, std::move(out));
  if (result) {
    for (const char* of_connection : {"Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive"})
      result->headers.remove(of_connection);
  }
  co_return result;
}

}  // namespace evercert::traffic
