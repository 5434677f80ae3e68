// SPDX-License-Identifier: Apache-2.0
#include "api/admin/regions.h"

#include <algorithm>
#include <memory>

#include "api/admin/epoch_change.h"
#include "api/rest/json_body.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "store/keys.h"
#include "store/membership.h"
#include "store/standby_duty.h"

namespace evercert::api {
namespace {

using nlohmann::json;
namespace v1 = store::v1;

constexpr Duration kReadTimeout = 3s;
constexpr Duration kPatience = 2s;  // for a fence to be carried out; then the answer says how far it has come

json describe(const std::vector<std::string>& names, const store::MembershipView& view, RegionId region) {
  const std::string& name = names.at(region.value - 1u);
  const std::size_t groups = names.size();
  const v1::RegionMember member = store::member_of(view.record, region);
  json out{{"region", name}, {"state", store::to_string(member.state())}, {"epoch", member.epoch()}};
  if (member.since_ms() != 0) {
    out["since"] = rfc3339(member.since_ms());
    out["by"] = member.by();
    out["reason"] = member.reason();
  }
  if (member.fence_epoch() != 0) {
    const std::uint32_t done = region.value < view.carried_out.size() ? view.carried_out[region.value] : 0;
    out["fence"] = {{"epoch", member.fence_epoch()}, {"groups_done", done}, {"groups", groups}};
  }
  const store::Activation crls = store::crl_activation(view.record, region);
  const bool somebody = crls.signer.value >= 1 && crls.signer.value <= groups;
  out["crls"] = {{"signed_by", somebody ? json(names[crls.signer.value - 1u]) : json()}, {"epoch", crls.epoch}};
  return out;
}

}  // namespace

void Regions::mount(Router& router) {
  router.add("GET", "/v1/regions", [this](net::HttpRequest r, auto) { return list(std::move(r)); });
  const auto add = [&](const char* verb, v1::RegionState state) {
    router.add("POST", std::string("/v1/regions/{region}/") + verb,
               [this, state](net::HttpRequest r, auto parts) { return change(std::move(r), parts[0], state); });
  };
  add("fence", v1::FENCED);
  add("unfence", v1::SERVING);
  add("drain", v1::DRAINING);
}

Task<net::HttpResponse> Regions::list(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto freshness =
      co_await store_.freshen(*request.executor, kGlobalGroup, store::membership_record(), kReadTimeout);
  const auto view = store_.membership();
  json regions = json::array();
  for (std::size_t r = 1; r <= names_.size(); ++r) {
    regions.push_back(describe(names_, *view, RegionId{static_cast<std::uint8_t>(r)}));
  }
  auto response =
      net::json_response(200, json{{"epoch", view->record.epoch()}, {"regions", std::move(regions)}}.dump());
  if (freshness == store::Freshness::kStale) response.headers.set("Evercert-Stale", "true");
  co_return response;
}

Task<net::HttpResponse> Regions::change(net::HttpRequest request, std::string name, v1::RegionState state) {
  Rest::Caller caller;
  if (auto refused = rest_.refuse(request, Role::kOperator, &caller)) co_return std::move(*refused);
  const auto named = std::find(names_.begin(), names_.end(), name);
  if (named == names_.end())
    co_return net::problem(404, "Not Found", "there is no region '" + name.substr(0, 64) + "' in this cluster");
  const RegionId region{static_cast<std::uint8_t>(named - names_.begin() + 1)};
  const auto reason = reason_of(request);
  if (!reason) co_return net::problem(reason.error());
  auto id = request_id(request);
  if (!id) co_return net::problem(id.error());
  v1::ChangeMembership wanted;
  wanted.set_region(region.value);
  wanted.set_state(state);
  wanted.set_reason(*reason);
  wanted.set_by(caller.name);
  wanted.set_request_id(std::move(*id));
  auto make = [&wanted](std::uint64_t expected_epoch) {
    v1::Command command;
    *command.mutable_change_membership() = wanted;
    command.mutable_change_membership()->set_expected_epoch(expected_epoch);
    return command;
  };
  auto changing = change_epoch(*request.executor, store_, make);
  const auto epoch = co_await changing;
  if (!epoch) co_return net::problem(fail(epoch.error(), name).error());
  log_warning("admin: region " + name + " is " + std::string(store::to_string(state)) + " by the word of " +
              caller.name + ", epoch " + std::to_string(*epoch));
  co_await settle(*request.executor, region, *epoch);
  const auto view = store_.membership();
  co_return net::json_response(200, json{{"epoch", *epoch}, {"region", describe(names_, *view, region)}}.dump());
}

Task<void> Regions::settle(Executor& on, RegionId region, std::uint64_t epoch) {
  auto done = [this, region, epoch] {
    const auto view = store_.membership();
    const bool fenced = store::member_of(view->record, region).fence_epoch() != 0;
    const bool carried_out =
        !fenced || (region.value < view->carried_out.size() && view->carried_out[region.value] == names_.size());
    return view->record.epoch() >= epoch && carried_out;
  };
  auto waiting = wait_until(on, done, kPatience);
  co_await waiting;
}

}  // namespace evercert::api
