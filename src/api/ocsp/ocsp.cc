// SPDX-License-Identifier: Apache-2.0
#include "api/ocsp/ocsp.h"

#include <algorithm>

#include "base/encoding.h"
#include "net/ocsp_news.h"

namespace evercert::api {
namespace {

constexpr std::int64_t kMostMaxAge = 60;
constexpr const char* kMediaType = "application/ocsp-response";

std::string cache_control(std::int64_t max_age) {
  return "max-age=" + std::to_string(max_age) + ", public, no-transform, must-revalidate";
}

void put(const ca::StatusChanges::Position& from, net::v1::OcspPosition& to) {
  to.set_incarnation(from.incarnation);
  to.set_number(from.number);
}

}  // namespace

void Ocsp::mount(Router& router) {
  const auto post = [this](net::HttpRequest request, auto) {
    std::string der = std::move(request.body);
    return answer(std::move(request), std::move(der), false);
  };
  router.add("POST", "/ocsp", post);
  router.add("POST", "/ocsp/{region}", post);
  // Everything behind /ocsp/ is the request: base64 may hold slashes.
  router.add("GET", "/ocsp/{request*}", [this](net::HttpRequest request, auto parts) {
    auto der = pki::decode_ocsp_path(parts[0]);
    return answer(std::move(request), der ? std::move(*der) : std::string{}, true);
  });
}

// A cache on the way would go on saying "good" after a revocation: a minute is what we let it.
std::int64_t Ocsp::max_age(std::int64_t next_update) const {
  return std::clamp<std::int64_t>(next_update - wall_.now().seconds(), 0, kMostMaxAge);
}

Task<net::HttpResponse> Ocsp::answer(net::HttpRequest request, std::string der, bool get) {
  const auto reply = co_await responder_.answer(*request.executor, std::move(der));
  net::HttpResponse response;
  response.headers.add("Content-Type", kMediaType);
  response.shared_body = reply.der;
  if (reply.stale) response.headers.add("Evercert-Stale", "true");
  if (get && reply.next_update != 0 && !reply.stale) {
    response.headers.add("Cache-Control", cache_control(max_age(reply.next_update)));
  } else {
    response.headers.add("Cache-Control", "no-store");
  }
  if (reply.kept != nullptr && !request.client_identity.empty()) add_stamp(reply, response);
  if (reply.kept != nullptr && get && !request.tls) {
    std::lock_guard lock(quick_mutex_);
    if (quick_.size() >= options_.quick_entries) quick_.clear();
    quick_[request.path] = {reply.kept, -1, nullptr};
  }
  co_return response;
}

void Ocsp::add_stamp(const ca::OcspReply& reply, net::HttpResponse& response) const {
  const std::int64_t now = wall_.now().seconds();
  net::v1::OcspStamp stamp;
  put(reply.position, *stamp.mutable_position());
  stamp.set_serial(reply.kept->serial);
  stamp.set_certificate_id(reply.kept->id);
  stamp.set_renew_in_s(std::max<std::int64_t>(0, reply.kept->renew_after - now));
  stamp.set_expires_in_s(std::max<std::int64_t>(0, reply.kept->next_update - now));
  response.headers.add(net::kOcspStamp, to_base64url(stamp.SerializeAsString()));
}

std::optional<net::HttpResponse> Ocsp::quick(const net::HttpRequest& request) {
  if (!takes_quick(request)) return std::nullopt;
  std::lock_guard lock(quick_mutex_);
  const auto found = quick_.find(std::string_view(request.path));
  if (found == quick_.end()) return std::nullopt;
  if (!responder_.still_right(*found->second.kept)) {
    if (found->second.kept->dropped) quick_.erase(found);
    return std::nullopt;
  }
  return respond(found->second);
}

bool Ocsp::may_be_quick(const net::HttpRequest& request) {
  if (!options_.several_zones || !takes_quick(request)) return false;
  std::lock_guard lock(quick_mutex_);
  return quick_.contains(std::string_view(request.path));
}

// The rule, in this order: reads are fresh, nothing is under way in the log, what is kept was not dropped.
Task<std::optional<net::HttpResponse>> Ocsp::quick_in_common(const net::HttpRequest& request) {
  std::shared_ptr<const ca::OcspKept> kept;
  {
    std::lock_guard lock(quick_mutex_);
    const auto found = quick_.find(std::string_view(request.path));
    if (found == quick_.end()) co_return std::nullopt;
    kept = found->second.kept;
  }
  const auto freshness = co_await freshness_.freshen(*request.executor, kept->group);
  if (freshness != store::Freshness::kFresh) co_return std::nullopt;
  for (const auto& serial : store_.pending_revocations(kept->group)) {
    if (serial == kept->serial) co_return std::nullopt;
  }
  if (!responder_.kept_still(*kept)) co_return std::nullopt;
  std::lock_guard lock(quick_mutex_);
  const auto found = quick_.find(std::string_view(request.path));
  if (found == quick_.end() || found->second.kept != kept) co_return std::nullopt;
  co_return respond(found->second);
}

net::HttpResponse Ocsp::respond(Quick& quick) const {
  const std::int64_t age = max_age(quick.kept->next_update);
  if (age != quick.max_age) {
    net::HttpResponse whole;
    whole.headers.add("Content-Type", kMediaType);
    whole.headers.add("Cache-Control", cache_control(age));
    whole.headers.add("Evercert-Region", options_.region_name);
    whole.shared_body = quick.kept->der;
    quick.prepared = net::prepare(whole);
    quick.max_age = age;
  }
  net::HttpResponse response;
  response.prepared = quick.prepared;
  return response;
}

// Of which groups reads are fresh, asked after this call began. All are asked at once.
Task<std::uint64_t> Ocsp::fresh_groups(Executor& on) {
  std::uint64_t fresh = 0;
  std::vector<GroupId> others;
  for (std::size_t r = 1; r <= options_.regions; ++r) {
    const GroupId group{static_cast<std::uint32_t>(r)};
    if (store_.fresh_now(group, "")) {
      fresh |= std::uint64_t{1} << r;
    } else {
      others.push_back(group);
    }
  }
  if (others.empty()) co_return fresh;
  auto start = [&](auto resolve) {
    struct All {
      std::size_t left;
      std::uint64_t fresh;
      decltype(resolve) done;
    };
    auto all = std::make_shared<All>(All{others.size(), fresh, std::move(resolve)});
    for (const GroupId group : others) {
      // They come back on `on`, one after another.
      freshening_.spawn(store_.freshen(on, group, "", options_.check_timeout),
                        [all, group](store::Freshness freshness) {
                          if (freshness == store::Freshness::kFresh) all->fresh |= std::uint64_t{1} << group.value;
                          if (--all->left == 0) all->done(all->fresh);
                        });
    }
  };
  auto asked = suspend_on<std::uint64_t>(on, std::move(start));
  co_return co_await asked;
}

// The order is the rule: reads are fresh; then what is under way; then what has changed. A revocation that is applied
// in between is among both, one that was acknowledged before the check came is in one of them.
Task<net::HttpResponse> Ocsp::news(net::HttpRequest question) {
  net::v1::OcspCheck check;
  if (!check.ParseFromString(question.body)) co_return net::problem(400, "Bad Request", "this is no OCSP check");
  net::v1::OcspNews out;
  out.set_fresh_groups(co_await fresh_groups(*question.executor));
  for (std::size_t r = 1; r <= options_.regions; ++r) {
    for (auto& serial : store_.pending_revocations(GroupId{static_cast<std::uint32_t>(r)}))
      out.add_pending(std::move(serial));
  }
  auto news = responder_.changes().since({check.since().incarnation(), check.since().number()});
  put(news.position, *out.mutable_position());
  out.set_everything(news.everything);
  for (auto& serial : news.serials) out.add_changed(std::move(serial));
  net::HttpResponse response;
  response.body = out.SerializeAsString();
  co_return response;
}

}  // namespace evercert::api
