// SPDX-License-Identifier: Apache-2.0
#include "api/admin/nodes.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "api/admin/epoch_change.h"
#include "api/rest/json_body.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "store/keys.h"
#include "store/membership.h"

namespace evercert::api {
namespace {

using nlohmann::json;
namespace v1 = store::v1;

constexpr std::size_t kLongestText = 500;
// For the change to be done in all groups; then the answer says how far it is.
constexpr Duration kChangePatience = 10s;

bool done(const store::MembershipView& view) {
  const auto wanted = store::wanted_voters(view.record);
  return std::all_of(view.groups.begin(), view.groups.end(), [&](const store::Configuration& group) {
    return group.consists_of(wanted.empty() ? group.voters() : wanted);
  });
}

// How one node stands, over all groups.
json standing(const store::MembershipView& view, NodeId node, bool wanted) {
  std::size_t votes = 0, follows = 0, settled = 0;
  for (const auto& group : view.groups) {
    votes += group.votes(node) ? 1 : 0;
    follows += group.learns(node) ? 1 : 0;
    settled += !group.joint() && group.votes(node) == wanted && !group.learns(node) ? 1 : 0;
  }
  const std::size_t all = view.groups.size();
  const char* state = settled == all ? (wanted ? "voter" : "none") : (wanted ? "joining" : "leaving");
  return {{"state", state}, {"votes_in", votes}, {"follows_in", follows}, {"groups_done", settled}, {"groups", all}};
}

Status read_ports(const json& body, NodeAddress& out) {
  for (const auto& [name, port] :
       {std::pair{"peer_port", &out.peer_port}, {"coordination_port", &out.coordination_port}}) {
    const auto found = body.find(name);
    if (found == body.end()) continue;
    if (!found->is_number_unsigned() || found->get<std::uint64_t>() == 0 || found->get<std::uint64_t>() > 65535)
      return fail(Code::kInvalid, std::string("'") + name + "' must be a port number");
    *port = static_cast<std::uint16_t>(found->get<std::uint64_t>());
  }
  return {};
}

}  // namespace

void Nodes::mount(Router& router) {
  router.add("GET", "/v1/nodes", [this](net::HttpRequest r, auto) { return list(std::move(r)); });
  router.add("PUT", "/v1/nodes/{region}/{zone}",
             [this](net::HttpRequest r, auto parts) { return put(std::move(r), parts[0], parts[1]); });
  router.add("DELETE", "/v1/nodes/{region}/{zone}",
             [this](net::HttpRequest r, auto parts) { return remove(std::move(r), parts[0], parts[1]); });
  router.add("POST", "/v1/nodes/{region}/{zone}/replace",
             [this](net::HttpRequest r, auto parts) { return replace(std::move(r), parts[0], parts[1]); });
}

Result<NodeId> Nodes::node_named(const std::string& region, const std::string& zone) const {
  const auto named = std::find(regions_.begin(), regions_.end(), region);
  if (named == regions_.end())
    return fail(Code::kNotFound, "there is no region '" + region.substr(0, 64) + "' in this cluster");
  unsigned number = 0;
  const auto read = std::from_chars(zone.data(), zone.data() + zone.size(), number);
  if (read.ec != std::errc{} || read.ptr != zone.data() + zone.size() || number < 1 || number > 9)
    return fail(Code::kInvalid, "a zone is a number from 1 to 9, not '" + zone.substr(0, 16) + "'");
  return node_id(RegionId{static_cast<std::uint8_t>(named - regions_.begin() + 1)}, static_cast<std::uint8_t>(number));
}

std::string Nodes::name_of(NodeId node) const {
  return region_name(region_of(node)) + "/" + std::to_string(node.value % 256);
}

// The cluster may have a region that this node's file does not name.
std::string Nodes::region_name(RegionId region) const {
  const std::size_t place = region.value - 1u;
  return place < regions_.size() ? regions_[place] : "region-" + std::to_string(region.value);
}

// Those that a person asked for last, or else those that vote now.
std::vector<v1::Replica> Nodes::wanted(const store::MembershipView& view) const {
  std::vector<v1::Replica> all(view.record.replicas().nodes().begin(), view.record.replicas().nodes().end());
  if (!all.empty() || view.groups.empty()) return all;
  for (const NodeId node : view.groups.front().voters()) all.emplace_back().set_node(node.value);
  return all;
}

std::string Nodes::describe(const store::MembershipView& view) const {
  std::set<NodeId> known, voters;
  for (const auto& node : file_) known.insert(node.node);
  for (const auto& group : view.groups) {
    const auto members = group.members();
    known.insert(members.begin(), members.end());
  }
  for (const auto& replica : wanted(view)) voters.insert(NodeId{replica.node()});
  known.insert(voters.begin(), voters.end());
  json nodes = json::array();
  for (const NodeId node : known) {
    json entry{{"node", node.value}, {"region", region_name(region_of(node))}, {"zone", node.value % 256}};
    entry.update(standing(view, node, voters.contains(node)));
    nodes.push_back(std::move(entry));
  }
  json out{{"epoch", view.record.epoch()}, {"done", done(view)}, {"nodes", std::move(nodes)}};
  if (const auto& last = view.record.replicas(); last.epoch() != 0) {
    out["changed"] = {
        {"epoch", last.epoch()}, {"by", last.by()}, {"reason", last.reason()}, {"since", rfc3339(last.since_ms())}};
  }
  return out.dump();
}

Task<net::HttpResponse> Nodes::list(net::HttpRequest request) {
  if (auto refused = rest_.refuse(request, Role::kReader)) co_return std::move(*refused);
  const auto freshness =
      co_await store_.freshen(*request.executor, kGlobalGroup, store::membership_record(), kReadTimeout);
  auto response = net::json_response(200, describe(*store_.membership()));
  if (freshness == store::Freshness::kStale) response.headers.set("Evercert-Stale", "true");
  co_return response;
}

Task<net::HttpResponse> Nodes::put(net::HttpRequest request, std::string region, std::string zone) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto node = node_named(region, zone);
  if (!node) co_return net::problem(node.error());
  Wish wish;
  NodeAddress added{*node, {}, 0, 0};
  if (!request.body.empty()) {
    const auto body = read_object(request);
    if (!body) co_return net::problem(body.error());
    if (const Status known = only_members(*body, {"address", "peer_port", "coordination_port", "reason"}); !known)
      co_return net::problem(known.error());
    if (const Status ports = read_ports(*body, added); !ports) co_return net::problem(ports.error());
    for (const auto& [name, text] : {std::pair{"address", &added.address}, {"reason", &wish.reason}}) {
      if (!body->contains(name)) continue;
      auto value = short_text(*body, name, kLongestText);
      if (!value) co_return net::problem(value.error());
      *text = std::move(*value);
    }
  }
  wish.add.push_back(std::move(added));
  co_return co_await change(std::move(request), std::move(wish));
}

Task<net::HttpResponse> Nodes::remove(net::HttpRequest request, std::string region, std::string zone) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto node = node_named(region, zone);
  if (!node) co_return net::problem(node.error());
  auto reason = reason_of(request);
  if (!reason) co_return net::problem(reason.error());
  Wish wish;
  wish.remove.push_back(*node);
  wish.reason = std::move(*reason);
  co_return co_await change(std::move(request), std::move(wish));
}

Task<net::HttpResponse> Nodes::replace(net::HttpRequest request, std::string region, std::string zone) {
  if (auto refused = rest_.refuse(request, Role::kOperator)) co_return std::move(*refused);
  const auto node = node_named(region, zone);
  if (!node) co_return net::problem(node.error());
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"zone", "address", "peer_port", "coordination_port", "reason"}); !known)
    co_return net::problem(known.error());
  if (!body->contains("zone") || !(*body)["zone"].is_number_unsigned())
    co_return net::problem(Error{Code::kInvalid, "'zone' must say which zone's node of the region takes its place"});
  const auto successor = node_named(region, std::to_string((*body)["zone"].get<std::uint64_t>()));
  if (!successor) co_return net::problem(successor.error());
  Wish wish;
  wish.add.push_back({*successor, {}, 0, 0});
  wish.remove.push_back(*node);
  for (const auto& [name, text] : {std::pair{"address", &wish.add.front().address}, {"reason", &wish.reason}}) {
    if (!body->contains(name)) continue;
    auto value = short_text(*body, name, kLongestText);
    if (!value) co_return net::problem(value.error());
    *text = std::move(*value);
  }
  if (const Status ports = read_ports(*body, wish.add.front()); !ports) co_return net::problem(ports.error());
  co_return co_await change(std::move(request), std::move(wish));
}

// What is written down of a node is where all others look for it, for good.
Status Nodes::can_be_reached(const NodeAddress& added) const {
  in_addr parsed{};
  if (!added.address.empty() && inet_pton(AF_INET, added.address.c_str(), &parsed) != 1)
    return fail(Code::kInvalid, "'address' must be an IPv4 address, not '" + added.address.substr(0, 64) + "'");
  const bool in_file =
      std::any_of(file_.begin(), file_.end(), [&](const NodeAddress& known) { return known.node == added.node; });
  if (in_file || (!added.address.empty() && added.peer_port != 0)) return {};
  return fail(Code::kInvalid, name_of(added.node) +
                                  " is not in this node's cluster file: say where it is reached, by 'address' and "
                                  "'peer_port'");
}

Task<net::HttpResponse> Nodes::change(net::HttpRequest request, Wish wish) {
  Rest::Caller caller;
  if (auto refused = rest_.refuse(request, Role::kOperator, &caller)) co_return std::move(*refused);
  co_await store_.freshen(*request.executor, kGlobalGroup, store::membership_record(), kReadTimeout);
  const auto present = wanted(*store_.membership());
  const auto votes = [&](NodeId node) {
    return std::any_of(present.begin(), present.end(), [&](const auto& r) { return r.node() == node.value; });
  };
  const auto asked = request_id(request);
  if (!asked) co_return net::problem(asked.error());
  const std::string& id = *asked;
  const bool repeated = !id.empty() && store_.membership()->record.replicas().request_id() == id;
  for (const NodeAddress& added : wish.add) {
    if (const Status reachable = can_be_reached(added); !reachable) co_return net::problem(reachable.error());
    if (!repeated && votes(added.node))
      co_return net::problem(Error{Code::kConflict, name_of(added.node) + " is a voter, or on its way to be one"});
  }
  for (const NodeId removed : wish.remove) {
    if (!repeated && !votes(removed))
      co_return net::problem(Error{Code::kConflict, name_of(removed) + " is no voter, or on its way out"});
  }
  auto make = [&](std::uint64_t expected_epoch) {
    auto nodes = wanted(*store_.membership());
    std::erase_if(nodes, [&](const v1::Replica& replica) {
      return std::any_of(wish.remove.begin(), wish.remove.end(), [&](NodeId n) { return n.value == replica.node(); });
    });
    for (const NodeAddress& added : wish.add) {
      v1::Replica& replica = nodes.emplace_back();
      replica.set_node(added.node.value);
      replica.set_address(added.address);
      replica.set_peer_port(added.peer_port);
      replica.set_coordination_port(added.coordination_port);
    }
    std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a.node() < b.node(); });
    v1::Command command;
    auto& proposed = *command.mutable_change_replicas();
    proposed.set_expected_epoch(expected_epoch);
    for (auto& replica : nodes) *proposed.add_nodes() = std::move(replica);
    proposed.set_by(caller.name);
    proposed.set_reason(wish.reason);
    proposed.set_request_id(id);
    return command;
  };
  auto changing = change_epoch(*request.executor, store_, make);
  const auto epoch = co_await changing;
  if (!epoch) co_return net::problem(epoch.error());
  std::string what;
  for (const NodeAddress& added : wish.add) what += " +" + name_of(added.node);
  for (const NodeId removed : wish.remove) what += " -" + name_of(removed);
  log_warning("admin: the nodes that vote are changed by the word of " + caller.name + ", epoch " +
              std::to_string(*epoch) + ":" + what);
  auto is_done = [this, e = *epoch] {
    const auto view = store_.membership();
    return view->record.epoch() >= e && done(*view);
  };
  auto waiting = wait_until(*request.executor, is_done, kChangePatience);
  const bool finished = co_await waiting;
  co_return net::json_response(finished ? 200 : 202, describe(*store_.membership()));
}

}  // namespace evercert::api
