// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/rest_space.h"

#include "api/coordination/rest_forms.h"
#include "api/rest/json_body.h"

namespace evercert::api {
namespace {

using namespace etcdserverpb;
using nlohmann::json;

constexpr std::int64_t kMostKeys = 1000;  // of one answer

// The key, or the keys that begin with it.
template <class Request>
void set_range(Request& out, const std::string& key, bool prefix) {
  out.set_key(key.empty() && prefix ? std::string(1, '\0') : key);
  if (!prefix) return;
  const std::string end = coordination::end_of(key);
  out.set_range_end(end.empty() ? std::string(1, '\0') : end);
}

void if_at_revision(TxnRequest& txn, const std::string& key, std::int64_t revision) {
  auto* compare = txn.add_compare();
  compare->set_key(key);
  compare->set_target(Compare::MOD);
  compare->set_mod_revision(revision);
  txn.add_failure()->mutable_request_range()->set_key(key);
}

net::HttpResponse conflict(const TxnResponse& done) {
  const auto& found = done.responses(0).response_range();
  return net::problem(409, "Conflict",
                      found.kvs_size() == 0 ? "the key does not exist"
                                            : "the key is at revision " + std::to_string(found.kvs(0).mod_revision()));
}

net::HttpResponse gone(std::int64_t compacted) {
  auto response = net::problem(410, "Gone",
                               "compacted up to revision " + std::to_string(compacted) +
                                   ": read the keys as they are, and watch from the revision of that answer on");
  auto body = json::parse(response.body);
  body["compacted"] = compacted;
  response.body = body.dump();
  return response;
}

}  // namespace

void RestSpace::mount(Router& router) {
  const auto add = [&](const char* method, const char* pattern,
                       Response (RestSpace::*handler)(net::HttpRequest, std::string)) {
    router.add(method, pattern, [this, handler](net::HttpRequest r, std::vector<std::string> parts) -> Response {
      auto name = decode_path(parts[0]);
      if (!name) co_return net::problem(name.error());
      co_return co_await (this->*handler)(std::move(r), std::move(*name));
    });
  };
  add("GET", "/v1/kv/{key*}", &RestSpace::get);
  add("PUT", "/v1/kv/{key*}", &RestSpace::put);
  add("DELETE", "/v1/kv/{key*}", &RestSpace::remove);
  add("GET", "/v1/watch/{key*}", &RestSpace::watch);
  router.add("POST", "/v1/compaction", [this](net::HttpRequest r, auto) { return compact(std::move(r)); });
  router.add("POST", "/v1/leases", [this](net::HttpRequest r, auto) { return grant(std::move(r)); });
  router.add("GET", "/v1/leases", [this](net::HttpRequest r, auto) { return leases(std::move(r)); });
  add("GET", "/v1/leases/{id}", &RestSpace::lease);
  add("DELETE", "/v1/leases/{id}", &RestSpace::revoke);
  add("POST", "/v1/leases/{id}/renew", &RestSpace::renew);
  add("POST", "/v1/locks/{name*}", &RestSpace::lock);
  add("GET", "/v1/locks/{name*}", &RestSpace::holder);
  add("PUT", "/v1/locks/{name*}", &RestSpace::proclaim);
  add("DELETE", "/v1/locks/{name*}", &RestSpace::unlock);
}

Task<net::HttpResponse> RestSpace::get(net::HttpRequest request, std::string key) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto limit = query_number(request, "limit", 100, 1, kMostKeys);
  if (!limit) co_return net::problem(limit.error());
  const auto revision = query_number(request, "revision", 0, 0, INT64_MAX);
  if (!revision) co_return net::problem(revision.error());
  const bool prefix = query_flag(request, "prefix");
  RangeRequest wanted;
  set_range(wanted, key, prefix);
  wanted.set_limit(*limit);
  wanted.set_revision(*revision);
  wanted.set_serializable(query_flag(request, "serializable"));
  const auto found = co_await coordinator_.range(*request.executor, std::move(wanted));
  if (!found) co_return problem_of(found.error());
  if (!prefix) {
    if (found->kvs_size() == 0) co_return net::problem(404, "Not Found", "there is no such key");
    json out = describe(found->kvs(0));
    out["revision"] = found->header().revision();
    co_return net::json_response(200, out.dump());
  }
  json out{{"revision", found->header().revision()}, {"count", found->count()}, {"keys", json::array()}};
  for (const auto& kv : found->kvs()) out["keys"].push_back(describe(kv));
  co_return net::json_response(200, out.dump());
}

Task<net::HttpResponse> RestSpace::put(net::HttpRequest request, std::string key) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"value", "value_base64", "lease", "if_revision"}); !known)
    co_return net::problem(known.error());
  auto value = read_bytes(*body, "value");
  if (!value) co_return net::problem(value.error());
  const auto if_revision = member_number(*body, "if_revision", -1, 0, INT64_MAX);
  if (!if_revision) co_return net::problem(if_revision.error());
  const auto lease = lease_id(
      body->contains("lease") && (*body)["lease"].is_string() ? (*body)["lease"].get<std::string>() : std::string("0"));
  if (!lease) co_return net::problem(lease.error());
  TxnRequest txn;
  if (*if_revision >= 0) if_at_revision(txn, key, *if_revision);
  auto* wanted = txn.add_success()->mutable_request_put();
  wanted->set_key(key);
  wanted->set_value(std::move(*value));
  wanted->set_lease(*lease);
  const auto done = co_await coordinator_.txn(*request.executor, std::move(txn));
  if (!done) co_return problem_of(done.error());
  if (!done->succeeded()) co_return conflict(*done);
  co_return net::json_response(200, json{{"revision", done->header().revision()}}.dump());
}

Task<net::HttpResponse> RestSpace::remove(net::HttpRequest request, std::string key) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto if_revision = query_number(request, "if_revision", -1, 0, INT64_MAX);
  if (!if_revision) co_return net::problem(if_revision.error());
  TxnRequest txn;
  if (*if_revision >= 0) if_at_revision(txn, key, *if_revision);
  set_range(*txn.add_success()->mutable_request_delete_range(), key, query_flag(request, "prefix"));
  const auto done = co_await coordinator_.txn(*request.executor, std::move(txn));
  if (!done) co_return problem_of(done.error());
  if (!done->succeeded()) co_return conflict(*done);
  const auto deleted = done->responses(0).response_delete_range().deleted();
  co_return net::json_response(200, json{{"revision", done->header().revision()}, {"deleted", deleted}}.dump());
}

// Waits for the first events from `from` on: who asks again with `next` misses none.
Task<net::HttpResponse> RestSpace::watch(net::HttpRequest request, std::string key) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto from = query_number(request, "from", 0, 0, INT64_MAX);
  if (!from) co_return net::problem(from.error());
  const auto patience = query_number(request, "wait_seconds", 10, 0, 50);
  if (!patience) co_return net::problem(patience.error());
  RangeRequest range;
  set_range(range, key, query_flag(request, "prefix"));
  auto signal = std::make_shared<Signal>();
  coordination::WatchRequest wanted{coordination::key_range(range.key(), range.range_end()), *from, true, true};
  auto added = coordination::Watching::begin(hub_, std::move(wanted), [signal] { signal->notify(); });
  if (!added) co_return net::problem(added.error());
  auto over = std::make_shared<bool>(false);
  request.executor->post_after(std::chrono::seconds(*patience), [over, signal] {
    *over = true;
    signal->notify();
  });
  net::HttpResponse response = net::json_response(200, "");
  for (;;) {
    const auto news = added->take();
    if (!news) {
      response = net::problem(news.error());
      break;
    }
    if (news->compacted) {
      response = gone(*news->compacted);
      break;
    }
    const auto reached = added->progress();
    if (!news->events.empty() || (*over && reached)) {
      json out{{"events", json::array()}};
      for (const auto& event : news->events) out["events"].push_back(describe(*event));
      out["next"] = 1 + (news->events.empty() ? *reached : news->events.back()->kv().mod_revision());
      response.body = out.dump();
      break;
    }
    if (!news->more) co_await signal->wait(*request.executor);
  }
  co_return response;
}

Task<net::HttpResponse> RestSpace::compact(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"revision"}); !known) co_return net::problem(known.error());
  const auto revision = member_number(*body, "revision", 0, 1, INT64_MAX);
  if (!revision || *revision == 0)
    co_return net::problem(Error{Code::kInvalid, "'revision' must name the first revision that is kept"});
  CompactionRequest wanted;
  wanted.set_revision(*revision);
  const auto done = co_await coordinator_.compact(*request.executor, std::move(wanted));
  if (!done) co_return problem_of(done.error());
  co_return net::json_response(200, json{{"compacted", *revision}, {"revision", done->header().revision()}}.dump());
}

Task<net::HttpResponse> RestSpace::grant(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"ttl_seconds"}); !known) co_return net::problem(known.error());
  const auto ttl = member_number(*body, "ttl_seconds", 60, 1, 9'000'000'000);
  if (!ttl) co_return net::problem(ttl.error());
  LeaseGrantRequest wanted;
  wanted.set_ttl(*ttl);
  const auto granted = co_await coordinator_.grant(*request.executor, wanted);
  if (!granted) co_return problem_of(granted.error());
  const std::string name = lease_name(granted->id());
  auto response = net::json_response(201, json{{"lease", name}, {"ttl_seconds", granted->ttl()}}.dump());
  response.headers.set("Location", "/v1/leases/" + name);
  co_return response;
}

Task<net::HttpResponse> RestSpace::leases(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto all = co_await coordinator_.leases(*request.executor);
  if (!all) co_return problem_of(all.error());
  json out{{"leases", json::array()}};
  for (const auto& lease : all->leases()) out["leases"].push_back(lease_name(lease.id()));
  co_return net::json_response(200, out.dump());
}

Task<net::HttpResponse> RestSpace::lease(net::HttpRequest request, std::string name) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto id = lease_id(name);
  if (!id) co_return net::problem(id.error());
  LeaseTimeToLiveRequest wanted;
  wanted.set_id(*id);
  wanted.set_keys(true);
  const auto found = co_await coordinator_.time_to_live(*request.executor, wanted);
  if (!found) co_return problem_of(found.error());
  if (found->ttl() < 0) co_return net::problem(404, "Not Found", "there is no such lease");
  json out{{"lease", name},
           {"ttl_seconds", found->grantedttl()},
           {"remaining_seconds", found->ttl()},
           {"keys", json::array()}};
  for (const auto& key : found->keys()) {
    json entry;
    put_bytes(entry, "key", key);
    out["keys"].push_back(std::move(entry));
  }
  co_return net::json_response(200, out.dump());
}

Task<net::HttpResponse> RestSpace::renew(net::HttpRequest request, std::string name) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto id = lease_id(name);
  if (!id) co_return net::problem(id.error());
  LeaseKeepAliveRequest wanted;
  wanted.set_id(*id);
  const auto renewed = co_await coordinator_.renew(*request.executor, wanted);
  if (!renewed) co_return problem_of(renewed.error());
  if (renewed->ttl() == 0) co_return net::problem(404, "Not Found", "there is no such lease");
  co_return net::json_response(200, json{{"lease", name}, {"ttl_seconds", renewed->ttl()}}.dump());
}

Task<net::HttpResponse> RestSpace::revoke(net::HttpRequest request, std::string name) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto id = lease_id(name);
  if (!id) co_return net::problem(id.error());
  LeaseRevokeRequest wanted;
  wanted.set_id(*id);
  const auto done = co_await coordinator_.revoke(*request.executor, wanted);
  if (!done) co_return problem_of(done.error());
  co_return net::json_response(200, json{{"revision", done->header().revision()}}.dump());
}

Task<net::HttpResponse> RestSpace::lock(net::HttpRequest request, std::string name) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"lease", "value", "value_base64", "wait_seconds"}); !known)
    co_return net::problem(known.error());
  const auto named = required_text(*body, "lease");
  if (!named) co_return net::problem(named.error());
  const auto lease = lease_id(*named);
  if (!lease) co_return net::problem(lease.error());
  const auto patience = member_number(*body, "wait_seconds", 10, 0, 50);
  if (!patience) co_return net::problem(patience.error());
  auto value = read_bytes(*body, "value");
  if (!value) co_return net::problem(value.error());
  auto cancellation = std::make_shared<Cancellation>();
  request.executor->post_after(std::chrono::seconds(*patience), [cancellation] { cancellation->cancel(); });
  const auto held = co_await locks_.acquire(*request.executor, name, *lease, std::move(*value), cancellation);
  if (!held && held.error().refusal == coordination::v1::NONE && held.error().error.code == Code::kExpired)
    co_return net::problem(409, "Conflict", held.error().error.message);
  if (!held) co_return problem_of(held.error());
  co_return net::json_response(200, json{{"name", name}, {"lease", *named}, {"token", held->token}}.dump());
}

Task<net::HttpResponse> RestSpace::holder(net::HttpRequest request, std::string name) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto found = co_await locks_.holder(*request.executor, name);
  if (!found) co_return problem_of(found.error());
  if (!found->second) co_return net::problem(404, "Not Found", "nobody holds it");
  json out{{"name", name},
           {"token", found->second->create_revision()},
           {"lease", lease_name(found->second->lease())},
           {"revision", found->first.revision()}};
  put_bytes(out, "value", found->second->value());
  co_return net::json_response(200, out.dump());
}

// Another value of the one who leads.
Task<net::HttpResponse> RestSpace::proclaim(net::HttpRequest request, std::string name) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"lease", "token", "value", "value_base64"}); !known)
    co_return net::problem(known.error());
  const auto named = required_text(*body, "lease");
  if (!named) co_return net::problem(named.error());
  const auto lease = lease_id(*named);
  if (!lease) co_return net::problem(lease.error());
  const auto token = member_number(*body, "token", 0, 1, INT64_MAX);
  if (!token || *token == 0) co_return net::problem(Error{Code::kInvalid, "'token' must name the leader"});
  auto value = read_bytes(*body, "value");
  if (!value) co_return net::problem(value.error());
  Held held{contender_key(name, *lease), *token, *lease, 0};
  const auto done = co_await locks_.proclaim(*request.executor, std::move(held), std::move(*value));
  if (!done) co_return problem_of(done.error());
  co_return net::json_response(200, json{{"revision", done->revision()}}.dump());
}

Task<net::HttpResponse> RestSpace::unlock(net::HttpRequest request, std::string name) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto lease = lease_id(query_value(request.query, "lease").value_or(""));
  if (!lease) co_return net::problem(lease.error());
  const auto token = query_number(request, "token", 0, 1, INT64_MAX);
  if (!token || *token == 0) co_return net::problem(fail(Code::kInvalid, "'token' must name the holder").error());
  const auto done = co_await locks_.release(*request.executor, contender_key(name, *lease), *token);
  if (!done) co_return problem_of(done.error());
  co_return net::json_response(200, json{{"revision", done->revision()}}.dump());
}

}  // namespace evercert::api
