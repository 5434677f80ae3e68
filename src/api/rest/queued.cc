// SPDX-License-Identifier: Apache-2.0
#include "api/rest/queued.h"

#include "api/rest/json_body.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "pki/crl.h"

namespace evercert::api {

using nlohmann::json;
namespace v1 = degraded::v1;

json describe_queued(const v1::Operation& operation) {
  json out{{"id", operation.id()},
           {"kind", degraded::to_string(operation.kind())},
           {"status", degraded::to_string(operation.state())},
           {"caller", operation.caller()},
           {"queued_at", rfc3339(operation.queued_at_ms())},
           {"expires_at", rfc3339(operation.deadline_ms())},
           {"reconciliation", operation.reconciliation()}};
  if (!operation.serial().empty()) out["serial"] = to_hex(operation.serial());
  if (operation.kind() == v1::REVOCATION) out["reason"] = pki::reason_name(static_cast<int>(operation.reason()));
  if (!operation.profile().empty()) out["profile"] = operation.profile();
  if (!operation.replaces().empty()) out["replaces"] = to_hex(operation.replaces());
  if (operation.ended_at_ms() != 0) out["ended_at"] = rfc3339(operation.ended_at_ms());
  if (!operation.detail().empty()) out["detail"] = operation.detail();
  // Under way, or tried and not known to have come to nothing.
  if (operation.doubtful()) out["may_have_happened"] = true;
  return out;
}

json describe_reconciliation(const v1::Reconciliation& report) {
  json kinds = json::object();
  for (const auto& tally : report.tallies()) {
    kinds[std::string(degraded::to_string(tally.kind()))] = {{"queued", tally.queued()},
                                                             {"done", tally.done()},
                                                             {"refused", tally.refused()},
                                                             {"expired", tally.expired()},
                                                             {"dropped", tally.dropped()}};
  }
  const auto time = [](std::int64_t ms) { return ms == 0 ? json(nullptr) : json(rfc3339(ms)); };
  return {{"number", report.number()},
          {"why", report.why()},
          {"first_queued_at", time(report.first_queued_at_ms())},
          {"began_at", time(report.began_at_ms())},
          {"ended_at", time(report.ended_at_ms())},
          {"longest_wait_ms", report.longest_wait_ms()},
          {"operations", std::move(kinds)}};
}

void Queued::mount(Router& router) {
  router.add("GET", "/v1/queued", [this](net::HttpRequest r, auto) { return list(std::move(r)); });
  router.add("GET", "/v1/queued/{id}", [this](net::HttpRequest r, auto parts) { return get(std::move(r), parts[0]); });
  router.add("DELETE", "/v1/queued/{id}",
             [this](net::HttpRequest r, auto parts) { return drop(std::move(r), parts[0]); });
  router.add("GET", "/v1/reconciliations", [this](net::HttpRequest r, auto) { return reconciliations(std::move(r)); });
}

// 503, so that an edge asks the next node: one of them keeps it.
std::optional<net::HttpResponse> Queued::elsewhere(const std::string& id) const {
  const auto keeper = degraded::keeper_of(id);
  if (!keeper) return net::problem(keeper.error());
  if (*keeper == self_) return std::nullopt;
  const std::string place = place_of_(*keeper);
  if (place.empty())
    return net::problem(404, "Not Found", "this operation was queued on a node that the cluster does not have");
  auto response = net::problem(fail(Code::kUnavailable, "this operation is in the queue of " + place +
                                                            ", which has to answer for it and could not be reached")
                                   .error());
  response.headers.set("Evercert-Elsewhere", "yes");
  return response;
}

Task<net::HttpResponse> Queued::list(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  std::size_t limit = 100;
  if (const Status read = read_limit(request, limit); !read) co_return net::problem(read.error());
  const auto waiting = co_await desk_.waiting(*request.executor, limit);
  if (!waiting) co_return net::problem(waiting.error());
  json operations = json::array();
  for (const auto& operation : *waiting) operations.push_back(describe_queued(operation));
  co_return net::json_response(200, json{{"node", self_.value},
                                         {"place", place_of_(self_)},
                                         {"waiting", desk_.summary().queue.waiting},
                                         {"operations", std::move(operations)}}
                                        .dump());
}

Task<net::HttpResponse> Queued::get(net::HttpRequest request, std::string id) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  if (auto other = elsewhere(id)) co_return std::move(*other);
  const auto found = co_await desk_.find(*request.executor, id);
  if (!found) co_return net::problem(found.error());
  json out = describe_queued(*found);
  auto response = net::json_response(200, "");
  if (found->state() == v1::QUEUED) response.headers.set("Retry-After", "10");
  if (found->state() == v1::DONE) {
    out["certificate_url"] = "/v1/certificates/" + to_hex(found->serial());
    if (found->kind() != v1::REVOCATION) {
      const auto certificate = co_await ca_.find(*request.executor, found->serial());
      if (certificate && certificate->certificate) out["certificate"] = ca_.chain_of(*certificate->certificate);
    }
  }
  response.body = out.dump();
  co_return response;
}

Task<net::HttpResponse> Queued::drop(net::HttpRequest request, std::string id) {
  Rest::Caller caller;
  if (auto refused = rest_.refuse(request, Role::kOperator, &caller)) co_return std::move(*refused);
  if (auto other = elsewhere(id)) co_return std::move(*other);
  const auto dropped = co_await desk_.drop(*request.executor, id, caller.name);
  if (!dropped) co_return net::problem(dropped.error());
  log_warning("queue: " + id + " was dropped by " + caller.name);
  co_return net::json_response(200, describe_queued(*dropped).dump());
}

Task<net::HttpResponse> Queued::reconciliations(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto reports = co_await desk_.reports(*request.executor);
  if (!reports) co_return net::problem(reports.error());
  json all = json::array();
  for (const auto& report : *reports) all.push_back(describe_reconciliation(report));
  co_return net::json_response(
      200, json{{"node", self_.value}, {"place", place_of_(self_)}, {"reconciliations", std::move(all)}}.dump());
}

}  // namespace evercert::api
