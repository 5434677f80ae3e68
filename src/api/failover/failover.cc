// SPDX-License-Identifier: Apache-2.0
#include "api/failover/failover.h"

#include <algorithm>
#include <charconv>

#include "api/rest/json_body.h"
#include "base/rfc3339.h"
#include "coordination/layout.h"
#include "recovery/failover/json_fields.h"
#include "recovery/failover/observation.h"
#include "recovery/failover/policy.h"
#include "recovery/failover/record.h"
#include "recovery/failover/steps.h"

namespace evercert::api {
namespace {

using nlohmann::json;
using recovery::Order;

constexpr std::size_t kLongestReason = 500;

net::HttpResponse problem_of(const Trouble& trouble) {
  if (trouble.refusal == coordination::v1::NONE) return net::problem(trouble.error);
  return net::problem(409, "Conflict", to_grpc(trouble).error_message());
}

net::HttpResponse answer(int status, const json& document) {
  return net::json_response(status, document.dump(-1, ' ', false, json::error_handler_t::replace));
}

Result<std::string> reason_in(const json& body) {
  if (!body.contains("reason")) return std::string();
  return short_text(body, "reason", kLongestReason);
}

// "F-3" or "F-3.2": which incident, and which plan of it.
Result<std::pair<std::uint64_t, std::uint32_t>> incident_of(std::string_view text) {
  std::uint64_t id = 0;
  std::uint32_t plan = 0;
  const std::string_view whole = text;
  if (text.starts_with("F-") || text.starts_with("f-")) text.remove_prefix(2);
  const auto dot = text.find('.');
  const auto read = [](std::string_view digits, auto& number) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() && end == digits.data() + digits.size() && number > 0;
  };
  const bool fits = read(text.substr(0, dot), id) && (dot == text.npos || read(text.substr(dot + 1), plan));
  if (!fits)
    return fail(Code::kInvalid,
                "'" + std::string(whole.substr(0, 40)) + "' names no incident: write F-3, or F-3.2 for its plan 2");
  return std::pair(id, plan);
}

}  // namespace

void Failover::mount(Router& router) {
  router.add("GET", "/v1/failover", [this](net::HttpRequest r, auto) { return status(std::move(r)); });
  router.add("GET", "/v1/failover/log", [this](net::HttpRequest r, auto) { return log(std::move(r)); });
  router.add("GET", "/v1/failover/policy", [this](net::HttpRequest r, auto) { return policy(std::move(r)); });
  router.add("PUT", "/v1/failover/policy", [this](net::HttpRequest r, auto) { return set_policy(std::move(r)); });
  // As health: whoever leads traffic reads it, and it says nothing that DNS does not show.
  router.add("GET", "/v1/failover/shares", [this](net::HttpRequest r, auto) { return shares(std::move(r)); });
  router.add("GET", "/v1/failover/node", [this](net::HttpRequest, auto) -> Task<net::HttpResponse> {
    co_return net::json_response(200, recovery::to_json(hooks_.observe()));
  });
  router.add("POST", "/v1/failover/plans", [this](net::HttpRequest r, auto) { return plan(std::move(r)); });
  const auto add = [&](const char* verb, Order::Verb is) {
    router.add("POST", std::string("/v1/failover/incidents/{id}/") + verb,
               [this, is](net::HttpRequest r, auto parts) { return order(std::move(r), parts[0], is); });
  };
  add("approve", Order::Verb::kApprove);
  add("reject", Order::Verb::kReject);
  add("abort", Order::Verb::kAbort);
}

Task<Answered<etcdserverpb::RangeResponse>> Failover::read(Executor& on, std::string_view key) {
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(key));
  request.set_serializable(true);
  return coordinator_.range(on, std::move(request));
}

Task<net::HttpResponse> Failover::status(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  auto reading = read(*request.executor, recovery::kStateKey);
  const auto state = co_await reading;
  if (!state) co_return problem_of(state.error());
  auto reading_shares = read(*request.executor, traffic::kSharesKey);
  const auto shares = co_await reading_shares;
  auto finding = locks_.holder(*request.executor, std::string(recovery::kLeaderName));
  const auto holder = co_await finding;
  json out{{"controller", nullptr},
           {"incidents", json::array()},
           {"shares", json::object()},
           {"nodes", json::object()},
           {"logged", 0}};
  if (holder && holder->second)
    out["controller"] = {{"node", holder->second->value()}, {"token", holder->second->create_revision()}};
  // Without a majority all of this is as this node knew it last, and nobody can decide or write anything.
  json lost = json::array();
  for (const auto& group : hooks_.observe().groups) {
    if (group.leader != NodeId{} || group.leaderless <= 0us) continue;
    const auto region = cluster_.regions.find(RegionId{static_cast<std::uint8_t>(group.group.value)});
    const bool global = group.group == kGlobalGroup || region == cluster_.regions.end();
    lost.push_back({{"group", global ? "global" : region->second}, {"for_ms", group.leaderless / 1ms}});
  }
  out["without_majority"] = std::move(lost);
  const FailoverSeat seat = hooks_.seat();
  out["asked"] = {{"leads", seat.leads}, {"refusal", seat.refusal}};
  if (state->kvs_size() > 0) {
    const json stored = json::parse(state->kvs(0).value(), nullptr, false);
    if (stored.is_object()) {
      out["incidents"] = stored.value("incidents", json::array());
      out["logged"] = stored.value("logged", 0);
    } else {
      out["trouble"] = "what the controller wrote is not understood: 'evercert ctl kv get failover/state'";
    }
  }
  traffic::Shares current;
  if (shares && shares->kvs_size() > 0)
    current = traffic::parse_shares(shares->kvs(0).value()).value_or(traffic::Shares{});
  for (const auto& [region, name] : cluster_.regions) out["shares"][name] = current.of(name);
  for (const auto& [node, percent] : current.nodes) out["nodes"][node] = percent;
  co_return answer(200, out);
}

// The last entries, or those from a number on.
Task<Answered<etcdserverpb::RangeResponse>> Failover::read_log(Executor& on, std::size_t limit,
                                                               std::optional<std::uint64_t> from) {
  etcdserverpb::RangeRequest wanted;
  wanted.set_key(from ? recovery::log_key(*from) : std::string(recovery::kLogPrefix));
  wanted.set_range_end(coordination::end_of(std::string(recovery::kLogPrefix)));
  wanted.set_serializable(true);
  wanted.set_sort_target(etcdserverpb::RangeRequest::KEY);
  wanted.set_sort_order(from ? etcdserverpb::RangeRequest::ASCEND : etcdserverpb::RangeRequest::DESCEND);
  wanted.set_limit(static_cast<std::int64_t>(limit));
  return coordinator_.range(on, std::move(wanted));
}

Task<net::HttpResponse> Failover::log(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  std::size_t limit = 200;
  if (const Status fits = read_limit(request, limit); !fits) co_return net::problem(fits.error());
  std::optional<std::uint64_t> from;
  if (const auto text = query_value(request.query, "from")) {
    from = recovery::number_of(*text, 999'999'999);
    if (*from == 0) co_return net::problem(Error{Code::kInvalid, "'from' must be the number of an entry, from 1"});
  }
  auto reading = read_log(*request.executor, limit, from);
  const auto found = co_await reading;
  if (!found) co_return problem_of(found.error());
  std::vector<recovery::LogEntry> entries;
  Status whole;
  for (const auto& kv : found->kvs()) {
    auto entry = recovery::parse_entry(kv.value());
    if (!entry) whole = fail(entry.error(), kv.key());
    else entries.push_back(std::move(*entry));
  }
  if (!from) std::reverse(entries.begin(), entries.end());
  auto reading_anchor = read(*request.executor, recovery::kAnchorKey);
  const auto kept = co_await reading_anchor;
  if (!kept) co_return problem_of(kept.error());
  std::optional<recovery::LogAnchor> anchor;
  if (kept->kvs_size() > 0) {
    auto parsed = recovery::parse_anchor(kept->kvs(0).value());
    if (!parsed) whole = fail(parsed.error());
    else anchor = std::move(*parsed);
  }
  std::map<std::string, std::string> signers;
  for (const auto& entry : entries) signers[entry.signature.signer];
  if (anchor) signers[anchor->signature.signer];
  for (auto& [fingerprint, pem] : signers) {
    auto reading_signer = read(*request.executor, std::string(recovery::kSignersPrefix) + fingerprint);
    const auto known = co_await reading_signer;
    if (known && known->kvs_size() > 0) pem = known->kvs(0).value();
  }
  if (whole) whole = check_log(entries, anchor, signers, trust_);
  json list = json::array();
  for (const auto& entry : entries) list.push_back(json::parse(recovery::to_json(entry), nullptr, false));
  co_return answer(200, {{"entries", std::move(list)},
                         {"anchor", anchor ? json::parse(recovery::to_json(*anchor), nullptr, false) : json()},
                         {"signers", signers},
                         {"whole", whole.has_value()},
                         {"trouble", whole ? json() : json(whole.error().message)}});
}

Task<net::HttpResponse> Failover::policy(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  auto reading = read(*request.executor, recovery::kPolicyKey);
  const auto stored = co_await reading;
  if (!stored) co_return problem_of(stored.error());
  if (stored->kvs_size() == 0) co_return net::json_response(200, recovery::to_json(recovery::Policy{}));
  const auto parsed = recovery::parse_policy(stored->kvs(0).value());
  if (!parsed)
    co_return net::problem(500, "Internal Server Error",
                           parsed.error().message + ": every plan asks for approval until the policy is set anew");
  co_return net::json_response(200, recovery::to_json(*parsed));
}

Task<net::HttpResponse> Failover::set_policy(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto parsed = recovery::parse_policy(request.body);
  if (!parsed) co_return net::problem(parsed.error());
  etcdserverpb::PutRequest put;
  put.set_key(std::string(recovery::kPolicyKey));
  put.set_value(recovery::to_json(*parsed));
  auto putting = coordinator_.put(*request.executor, std::move(put));
  const auto done = co_await putting;
  if (!done) co_return problem_of(done.error());
  co_return net::json_response(200, recovery::to_json(*parsed));
}

Task<net::HttpResponse> Failover::shares(net::HttpRequest request) {
  auto reading = read(*request.executor, traffic::kSharesKey);
  const auto stored = co_await reading;
  if (!stored) co_return problem_of(stored.error());
  traffic::Shares shares;
  if (stored->kvs_size() > 0) {
    auto parsed = traffic::parse_shares(stored->kvs(0).value());
    if (!parsed) co_return net::problem(500, "Internal Server Error", parsed.error().message);
    shares = std::move(*parsed);
    shares.revision = stored->kvs(0).mod_revision();
  }
  co_return net::json_response(200, traffic::to_json(shares));
}

Task<net::HttpResponse> Failover::plan(net::HttpRequest request) {
  Rest::Caller caller;
  if (auto refused = rest_.refuse(request, Role::kOperator, &caller)) co_return std::move(*refused);
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"region", "reason", "dry_run"}); !known)
    co_return net::problem(known.error());
  const auto named = required_text(*body, "region");
  if (!named) co_return net::problem(named.error());
  const auto reason = reason_in(*body);
  if (!reason) co_return net::problem(reason.error());
  const auto region = std::ranges::find_if(cluster_.regions, [&](const auto& one) { return one.second == *named; });
  if (region == cluster_.regions.end())
    co_return net::problem(404, "Not Found", "there is no region '" + named->substr(0, 64) + "' in this cluster");
  if (body->contains("dry_run") && !(*body)["dry_run"].is_boolean())
    co_return net::problem(Error{Code::kInvalid, "'dry_run' must be true or false"});
  if (body->value("dry_run", false)) {
    auto rehearsing = hooks_.rehearse(*request.executor, region->first);
    const auto rehearsal = co_await rehearsing;
    if (!rehearsal) co_return net::problem(rehearsal.error());
    json steps = json::array();
    for (const auto& [step, would] : rehearsal->steps)
      steps.push_back({{"what", describe(step, cluster_)}, {"would", would}});
    co_return answer(200, {{"region", *named},
                           {"dry_run", true},
                           {"forbidden", rehearsal->forbidden.empty() ? json() : json(rehearsal->forbidden)},
                           {"steps", std::move(steps)}});
  }
  Order order;
  order.verb = Order::Verb::kPlan;
  order.region = region->first;
  order.by = caller.name;
  order.reason = *reason;
  auto giving = give(std::move(request), std::move(order));
  co_return co_await giving;
}

Task<net::HttpResponse> Failover::order(net::HttpRequest request, std::string id, Order::Verb verb) {
  Rest::Caller caller;
  if (auto refused = rest_.refuse(request, Role::kOperator, &caller)) co_return std::move(*refused);
  const auto incident = incident_of(id);
  if (!incident) co_return net::problem(incident.error());
  Order order;
  if (!request.body.empty()) {
    const auto body = read_object(request);
    if (!body) co_return net::problem(body.error());
    if (const Status known = only_members(*body, {"reason", "at_once"}); !known) co_return net::problem(known.error());
    const auto reason = reason_in(*body);
    if (!reason) co_return net::problem(reason.error());
    order.reason = *reason;
    if (body->contains("at_once") && (verb != Order::Verb::kAbort || !(*body)["at_once"].is_boolean()))
      co_return net::problem(Error{Code::kInvalid, "'at_once' must be true or false, and is of 'abort' alone"});
    order.at_once = body->value("at_once", false);
  }
  auto reading = read(*request.executor, recovery::kStateKey);
  const auto stored = co_await reading;
  if (!stored) co_return problem_of(stored.error());
  const json state = stored->kvs_size() > 0 ? json::parse(stored->kvs(0).value(), nullptr, false) : json::object();
  const json incidents = state.is_object() ? state.value("incidents", json::array()) : json::array();
  const auto known = std::ranges::find_if(
      incidents, [&](const json& one) { return one.value("id", std::uint64_t{0}) == incident->first; });
  const std::string name = "F-" + std::to_string(incident->first);
  if (known == incidents.end()) co_return net::problem(404, "Not Found", "there is no incident " + name);
  const std::string phase = known->value("phase", "");
  if (phase == "closed") co_return net::problem(409, "Conflict", name + " is closed: " + known->value("outcome", ""));
  if (verb == Order::Verb::kApprove && phase != "awaits approval")
    co_return net::problem(409, "Conflict", name + " is " + phase + ", and asks for no approval");
  order.verb = verb;
  order.incident = incident->first;
  order.plan = incident->second;
  order.by = caller.name;
  auto giving = give(std::move(request), std::move(order));
  co_return co_await giving;
}

Task<net::HttpResponse> Failover::give(net::HttpRequest request, Order order) {
  const auto id = request_id(request);
  if (!id) co_return net::problem(id.error());
  order.at_ms = wall_.now().ms;
  etcdserverpb::PutRequest put;
  // The same order under the same key of idempotency is one order.
  std::string name = *id;
  std::ranges::replace(name, '/', '-');
  put.set_key(std::string(recovery::kOrdersPrefix) + std::to_string(order.at_ms) + "-" + name);
  put.set_value(recovery::to_json(order));
  auto putting = coordinator_.put(*request.executor, std::move(put));
  const auto done = co_await putting;
  if (!done) co_return problem_of(done.error());
  co_return answer(202, {{"ordered", true}, {"see", "/v1/failover"}});
}

}  // namespace evercert::api
