// SPDX-License-Identifier: Apache-2.0
#include "api/admin/regions.h"

#include <algorithm>
#include <map>
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

constexpr Duration kWordPatience = 6s;    // for the word of nodes that have just started
constexpr Duration kFencePatience = 2s;   // for a fence to be carried out; then the answer says how far it has come
constexpr Duration kJoinPatience = 10s;   // for a new region to serve
constexpr Duration kLeavePatience = 10s;  // for a removed one to be out of all groups

json describe(const std::vector<std::string>& names, const store::MembershipView& view, RegionId region) {
  const std::string& name = names.at(region.value - 1u);
  const std::size_t groups = view.regions;
  if (region.value > view.regions) return {{"region", name}, {"state", "not added"}, {"epoch", 0}};
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
  const bool somebody = crls.signer.value >= 1 && crls.signer.value <= names.size();
  out["crls"] = {{"signed_by", somebody ? json(names[crls.signer.value - 1u]) : json()}, {"epoch", crls.epoch}};
  return out;
}

std::vector<NodeId> voters_of(const store::MembershipView& view) {
  const auto wanted = store::wanted_voters(view.record);
  return wanted.empty() && !view.groups.empty() ? view.groups.front().voters() : wanted;
}

std::map<std::uint64_t, v1::Replica> replicas_of(const store::MembershipView& view) {
  std::map<std::uint64_t, v1::Replica> nodes;
  for (const NodeId node : voters_of(view)) nodes[node.value].set_node(node.value);
  for (const auto& replica : view.record.replicas().nodes()) nodes[replica.node()] = replica;
  return nodes;
}

// No node of the region is in any group, and what its key signed before is refused everywhere.
bool gone(const store::MembershipView& view, RegionId region) {
  const bool out = std::ranges::all_of(view.groups, [&](const store::Configuration& group) {
    return !group.joint() &&
           std::ranges::none_of(group.members(), [&](NodeId node) { return region_of(node) == region; });
  });
  return out && store::member_of(view.record, region).state() == v1::REMOVED &&
         region.value < view.carried_out.size() && view.carried_out[region.value] == view.regions;
}

}  // namespace

void Regions::mount(Router& router) {
  router.add("GET", "/v1/regions", [this](net::HttpRequest r, auto) { return list(std::move(r)); });
  const auto add = [&](const char* verb, v1::RegionState state) {
    router.add("POST", std::string("/v1/regions/{region}/") + verb,
               [this, state](net::HttpRequest r, auto parts) { return change(std::move(r), parts[0], state); });
  };
  router.add("PUT", "/v1/regions/{region}",
             [this](net::HttpRequest r, auto parts) { return this->add(std::move(r), parts[0]); });
  router.add("DELETE", "/v1/regions/{region}",
             [this](net::HttpRequest r, auto parts) { return remove(std::move(r), parts[0]); });
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

std::optional<net::HttpResponse> Regions::refuse(const net::HttpRequest& request, const std::string& name,
                                                 v1::ChangeMembership& wanted) const {
  Rest::Caller caller;
  if (auto refused = rest_.refuse(request, Role::kOperator, &caller)) return refused;
  const auto region = region_named(name);
  if (!region) return net::problem(region.error());
  const auto reason = reason_of(request);
  if (!reason) return net::problem(reason.error());
  auto id = request_id(request);
  if (!id) return net::problem(id.error());
  wanted.set_region(region->value);
  wanted.set_reason(*reason);
  wanted.set_by(caller.name);
  wanted.set_request_id(std::move(*id));
  return std::nullopt;
}

Task<Result<std::uint64_t>> Regions::carry_out(Executor& on, const v1::ChangeMembership& wanted) {
  auto make = [&](std::uint64_t expected_epoch) {
    v1::Command command;
    auto& change = *command.mutable_change_membership();
    change = wanted;
    change.set_expected_epoch(expected_epoch);
    if (wanted.state() == v1::REMOVED) {
      for (auto& [number, replica] : replicas_of(*store_.membership())) {
        if (region_of(NodeId{number}).value != wanted.region()) *change.add_nodes() = std::move(replica);
      }
    }
    return command;
  };
  const std::string& name = names_.at(wanted.region() - 1);
  auto changing = change_epoch(on, store_, make);
  auto epoch = co_await changing;
  if (!epoch) co_return fail(epoch.error(), name);
  log_warning("admin: region " + name + " is " + std::string(store::to_string(wanted.state())) + " by the word of " +
              wanted.by() + ", epoch " + std::to_string(*epoch));
  co_return *epoch;
}

Task<net::HttpResponse> Regions::change(net::HttpRequest request, std::string name, v1::RegionState state) {
  v1::ChangeMembership wanted;
  if (auto refused = refuse(request, name, wanted)) co_return std::move(*refused);
  const RegionId region{static_cast<std::uint8_t>(wanted.region())};
  const bool witness = store::is_witness(store::member_of(store_.membership()->record, region));
  wanted.set_state(witness && state == v1::SERVING ? v1::WITNESS : state);
  auto changing = carry_out(*request.executor, wanted);
  const auto epoch = co_await changing;
  if (!epoch) co_return net::problem(epoch.error());
  co_await settle(*request.executor, region, *epoch);
  const auto view = store_.membership();
  co_return net::json_response(200, json{{"epoch", *epoch}, {"region", describe(names_, *view, region)}}.dump());
}

Result<RegionId> Regions::region_named(const std::string& name) const {
  const auto named = std::find(names_.begin(), names_.end(), name);
  if (named != names_.end()) return RegionId{static_cast<std::uint8_t>(named - names_.begin() + 1)};
  return fail(Code::kNotFound, "there is no region '" + name.substr(0, 64) + "' in this cluster");
}

Task<net::HttpResponse> Regions::remove(net::HttpRequest request, std::string name) {
  v1::ChangeMembership wanted;
  if (auto refused = refuse(request, name, wanted)) co_return std::move(*refused);
  wanted.set_state(v1::REMOVED);
  const RegionId region{static_cast<std::uint8_t>(wanted.region())};
  co_await store_.freshen(*request.executor, kGlobalGroup, store::membership_record(), kReadTimeout);
  auto changing = carry_out(*request.executor, wanted);
  const auto epoch = co_await changing;
  if (!epoch) co_return net::problem(epoch.error());
  auto waiting = wait_until(
      *request.executor, [this, region] { return gone(*store_.membership(), region); }, kLeavePatience);
  const bool out = co_await waiting;
  const auto view = store_.membership();
  json said = describe(names_, *view, region);
  said["nodes_gone"] = out;
  co_return net::json_response(out ? 200 : 202, json{{"epoch", *epoch}, {"region", std::move(said)}}.dump());
}

// Nodes that vote and have not said that their file names the region, as this one does: as a witness, or as none.
std::string Regions::missing_files(RegionId region) const {
  const auto view = store_.membership();
  std::string missing;
  for (const NodeId node : voters_of(*view)) {
    const auto said = view->named.find(node);
    const bool named = said != view->named.end() && said->second.count >= region.value;
    if (node == self_ || (named && is_witness(said->second.witnesses, region) == is_witness(witnesses_, region)))
      continue;
    const std::size_t place = region_of(node).value - 1u;
    missing += (missing.empty() ? "" : ", ") + (place < names_.size() ? names_[place] : std::string("?")) + "/" +
               std::to_string(node.value % 256);
  }
  return missing;
}

Status Regions::may_be_added(RegionId region) const {
  const std::string& name = names_.at(region.value - 1u);
  const auto view = store_.membership();
  const auto* known = store::founding_of(view->record, region);
  if (store::member_of(view->record, region).state() == v1::REMOVED)
    return fail(Code::kConflict, name + " was removed from the cluster, for good: add a region by another name");
  if (region.value <= view->founding || (known != nullptr && known->name() != name))
    return fail(Code::kConflict, "region " + std::to_string(region.value) + " is one of the cluster's already" +
                                     (known != nullptr ? ", by the name of " + known->name() : ""));
  if (region.value > view->regions + 1)
    return fail(Code::kConflict,
                names_.at(view->regions) + " comes before " + name + " in the cluster file: add it first");
  if (region.value <= view->regions) return {};  // it is, and what was interrupted goes on
  // Its home group begins with the voters of the others. One who is still to become a voter may know nothing yet, and
  // two such would wait for each other.
  EC_TRY(members_settled(*view));
  if (const std::string missing = missing_files(region); !missing.empty())
    return fail(Code::kConflict,
                "the cluster file of " + missing + " does not name " + name +
                    (is_witness(witnesses_, region) ? " as a witness" : "") +
                    " yet, as far as is known here: give these nodes the new file and start them again, one "
                    "after the other (a node that is gone for good: remove it)");
  return {};
}

Task<net::HttpResponse> Regions::add(net::HttpRequest request, std::string name) {
  Rest::Caller caller;
  if (auto refused = rest_.refuse(request, Role::kOperator, &caller)) co_return std::move(*refused);
  const auto named = std::find(names_.begin(), names_.end(), name);
  if (named == names_.end())
    co_return net::problem(404, "Not Found",
                           "there is no region '" + name.substr(0, 64) +
                               "' in this node's cluster file: append it there, and give the file to all nodes");
  const RegionId region{static_cast<std::uint8_t>(named - names_.begin() + 1)};
  const auto reason = reason_of(request);
  if (!reason) co_return net::problem(reason.error());
  co_await store_.freshen(*request.executor, kGlobalGroup, store::membership_record(), kReadTimeout);
  // A node says which regions its file names every few seconds.
  auto all_have_the_file = wait_until(
      *request.executor,
      [this, region] { return missing_files(region).empty() && members_settled(*store_.membership()); }, kWordPatience);
  co_await all_have_the_file;
  if (const Status may = may_be_added(region); !may) co_return net::problem(may.error());
  const auto asked = request_id(request);
  if (!asked) co_return net::problem(asked.error());
  const std::string& id = *asked;
  auto found = [&](std::uint64_t expected_epoch) {
    const auto view = store_.membership();
    v1::Command command;
    auto& wanted = *command.mutable_found_region();
    wanted.set_expected_epoch(expected_epoch);
    wanted.set_region(region.value);
    wanted.set_name(name);
    wanted.set_witness(is_witness(witnesses_, region));
    if (members_settled(*view)) {
      for (const NodeId node : voters_of(*view)) wanted.add_voters(node.value);
    }
    wanted.set_lineage(view->lineage);
    wanted.set_by(caller.name);
    wanted.set_reason(*reason);
    wanted.set_request_id(id);
    return command;
  };
  // One that was interrupted goes on from where it is.
  if (region.value > store_.membership()->regions) {
    auto founding = change_epoch(*request.executor, store_, found);
    const auto epoch = co_await founding;
    if (!epoch) co_return net::problem(epoch.error());
    log_warning("admin: region " + name + " is added by the word of " + caller.name + ", epoch " +
                std::to_string(*epoch));
  }
  auto with_its_nodes = [&](std::uint64_t expected_epoch) {
    const auto view = store_.membership();
    v1::Command command;
    auto& wanted = *command.mutable_change_replicas();
    wanted.set_expected_epoch(expected_epoch);
    std::map<std::uint64_t, v1::Replica> nodes = replicas_of(*view);
    for (const NodeAddress& node : file_) {
      if (region_of(node.node) != region) continue;
      v1::Replica& replica = nodes[node.node.value];
      replica.set_node(node.node.value);
      replica.set_address(node.address);
      replica.set_peer_port(node.peer_port);
      replica.set_coordination_port(node.coordination_port);
    }
    for (auto& [number, replica] : nodes) *wanted.add_nodes() = std::move(replica);
    wanted.set_by(caller.name);
    wanted.set_reason(reason->empty() ? "the nodes of " + name : *reason);
    wanted.set_request_id(id);
    return command;
  };
  const auto voters = voters_of(*store_.membership());
  if (std::ranges::none_of(voters, [&](NodeId node) { return region_of(node) == region; })) {
    auto adding = change_epoch(*request.executor, store_, with_its_nodes);
    if (const auto epoch = co_await adding; !epoch) co_return net::problem(epoch.error());
  }
  auto serves = [this, region] {
    const auto view = store_.membership();
    return region.value <= view->regions && store::member_of(view->record, region).state() != v1::JOINING;
  };
  auto waiting = wait_until(*request.executor, serves, kJoinPatience);
  const bool joined = co_await waiting;
  const auto view = store_.membership();
  co_return net::json_response(
      joined ? 200 : 202, json{{"epoch", view->record.epoch()}, {"region", describe(names_, *view, region)}}.dump());
}

Task<void> Regions::settle(Executor& on, RegionId region, std::uint64_t epoch) {
  auto done = [this, region, epoch] {
    const auto view = store_.membership();
    const bool fenced = store::member_of(view->record, region).fence_epoch() != 0;
    const bool carried_out =
        !fenced || (region.value < view->carried_out.size() && view->carried_out[region.value] == view->regions);
    return view->record.epoch() >= epoch && carried_out;
  };
  auto waiting = wait_until(on, done, kFencePatience);
  co_await waiting;
}

}  // namespace evercert::api
