// SPDX-License-Identifier: Apache-2.0
#include "node/failover_effects.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "pki/ocsp.h"

namespace evercert::node {
namespace {

constexpr Duration kSubmitTimeout = 6s, kAskTimeout = 2s;
constexpr std::size_t kStatuses = 32, kLargestCrl = 64 << 20;

// To a node that may start workers.
net::HttpCall order_to(const net::HttpTarget& node, const nlohmann::json& order) {
  net::HttpCall call;
  call.target = node;
  call.method = "POST";
  call.path = "/v1/capacity/workers";
  call.headers.set("Content-Type", "application/json");
  call.body = order.dump();
  call.connect_timeout = call.timeout = kAskTimeout;
  return call;
}

}  // namespace

Task<Result<std::string>> FailoverEffects::carry_out(Executor& on, recovery::Effect effect, std::string lock,
                                                     Nodes roster, std::map<NodeId, int> workers) {
  using recovery::StepKind;
  if (effect.kind == StepKind::kDrain || effect.kind == StepKind::kReadmit) {
    auto changing = change_membership(on, std::move(effect), std::move(lock));
    co_return co_await changing;
  }
  if (effect.kind == StepKind::kWarm) {
    auto warming = warm(on, effect.region, std::move(roster));
    co_return co_await warming;
  }
  auto setting = set_workers(on, std::move(effect), std::move(lock), std::move(roster), std::move(workers));
  co_return co_await setting;
}

// All that the nodes of other regions may start; or none any more, anywhere.
Task<Result<std::string>> FailoverEffects::set_workers(Executor& on, recovery::Effect effect, std::string lock,
                                                       Nodes roster, std::map<NodeId, int> workers) {
  const bool more = effect.kind == recovery::StepKind::kAddCapacity;
  std::string evidence;
  bool refused = false;
  for (const auto& [node, could] : workers) {
    const auto target = roster->peers.find(node);
    if (could == 0 || (more && region_of(node) == effect.region) || target == roster->peers.end()) continue;
    const nlohmann::json order{{"workers", more ? could : 0}, {"token", effect.token}, {"lock", lock}};
    auto asking = client_.fetch(on, order_to(target->second, order));
    const auto answer = co_await asking;
    const bool done = answer && answer->status == 200;
    refused = refused || !done;
    evidence += (evidence.empty() ? "" : "; ") + roster->regions.at(region_of(node)) + "/" +
                std::to_string(node.value % 256) + ": " +
                (done     ? std::to_string(more ? could : 0) + " workers"
                 : answer ? answer->body.substr(0, 200)
                          : answer.error().message);
  }
  if (refused) co_return fail(Code::kUnavailable, evidence);
  co_return evidence.empty() ? std::string("no node has any") : evidence;
}

Task<void> FailoverEffects::affirm(Executor& on, std::vector<NodeId> nodes, std::string lock, std::int64_t token,
                                   Nodes roster) {
  for (const NodeId node : nodes) {
    const auto target = roster->peers.find(node);
    if (target == roster->peers.end()) continue;
    const nlohmann::json order{{"affirm", true}, {"token", token}, {"lock", lock}};
    auto asking = client_.fetch(on, order_to(target->second, order));
    const auto answer = co_await asking;
    // It is asked again when it is looked at next.
    if (answer && answer->status == 200) continue;
    log_warning("failover: node " + std::to_string(node.value) + " goes on by an earlier controller's word: " +
                (answer ? answer->body.substr(0, 200) : answer.error().message));
  }
}

// Compares with the epoch that the step was written down with, so that no change in between goes unseen, and with the
// lock, so that the store obeys nobody who was replaced.
Task<Result<std::string>> FailoverEffects::change_membership(Executor& on, recovery::Effect effect, std::string lock) {
  store::v1::Command command;
  auto& change = *command.mutable_change_membership();
  change.set_expected_epoch(effect.epoch);
  change.set_region(effect.region.value);
  change.set_state(effect.to == recovery::Standing::kDraining ? store::v1::DRAINING : store::v1::SERVING);
  change.set_by(std::string(recovery::kController));
  change.set_reason(effect.why);
  change.set_request_id(effect.id);
  change.set_lock(std::move(lock));
  change.set_token(effect.token);
  auto submitting = store_.submit(on, kGlobalGroup, std::move(command), kSubmitTimeout);
  const auto done = co_await submitting;
  if (!done) co_return fail(done.error());
  co_return "epoch " + std::to_string(done->number());
}

// Of each other region at least one node gives the region's CRL, and OCSP answers for some of its certificates: which
// are thereby made, and kept.
Task<Result<std::string>> FailoverEffects::warm(Executor& on, RegionId region, Nodes roster) {
  std::vector<std::string> serials;
  // A serial number begins with its issuer's region.
  const std::string first(1, static_cast<char>(region.value));
  const auto listed = store_.list_certificates(first, kStatuses);
  if (!listed) co_return fail(listed.error());
  for (const auto& certificate : *listed) {
    if (certificate.serial().starts_with(first)) serials.push_back(certificate.serial());
  }
  std::string evidence, lacking;
  for (const auto& [other, name] : roster->regions) {
    if (other == region) continue;
    bool served = false;
    for (const auto& [node, of] : roster->nodes) {
      if (of != other) continue;
      bool well = false;
      auto asking = warm_node(on, node, region, roster, serials, well);
      const std::string seen = co_await asking;
      evidence += (evidence.empty() ? "" : "; ") + name + "/" + std::to_string(node.value % 256) + ": " + seen;
      served = served || well;
    }
    if (!served) lacking += (lacking.empty() ? "" : ", ") + name;
  }
  // A region that is down itself takes nothing over: one that does is enough.
  std::size_t others = roster->regions.size() - 1, without = 0;
  for (const char c : lacking) without += c == ',' ? 1 : 0;
  if (!lacking.empty() && without + 1 >= others) co_return fail(Code::kUnavailable, evidence);
  co_return evidence;
}

Task<std::string> FailoverEffects::warm_node(Executor& on, NodeId node, RegionId region, Nodes roster,
                                             std::vector<std::string> serials, bool& well) {
  const auto target = roster->peers.find(node);
  const auto issuer = issuer_ders_.find(region);
  if (target == roster->peers.end() || issuer == issuer_ders_.end()) co_return std::string("not known");
  net::HttpCall call;
  call.target = target->second;
  call.path = "/crl/" + roster->regions.at(region) + ".crl";
  call.connect_timeout = call.timeout = kAskTimeout;
  call.max_response_bytes = kLargestCrl;
  auto fetching = client_.fetch(on, call);
  const auto crl = co_await fetching;
  if (!crl) co_return crl.error().message;
  if (crl->status != 200) co_return "its CRL: status " + std::to_string(crl->status);
  std::size_t answered = 0;
  for (const std::string& serial : serials) {
    const auto request = pki::make_ocsp_request(issuer->second, serial);
    if (!request) continue;
    net::HttpCall ask;
    ask.target = target->second;
    ask.method = "POST";
    ask.path = "/ocsp";
    ask.headers.set("Content-Type", "application/ocsp-request");
    ask.body = *request;
    ask.connect_timeout = ask.timeout = kAskTimeout;
    auto asking = client_.fetch(on, std::move(ask));
    const auto answer = co_await asking;
    if (!answer || answer->status != 200) break;
    const auto read = pki::read_ocsp_response(answer->bytes(), issuer->second, serial);
    if (read && read->status != pki::CertStatus::kUnknown) ++answered;
  }
  well = answered == serials.size();
  co_return "CRL, " + std::to_string(answered) + " of " + std::to_string(serials.size()) + " statuses";
}

}  // namespace evercert::node
