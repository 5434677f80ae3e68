// SPDX-License-Identifier: Apache-2.0
// What etcd's clients ask about the cluster itself, and how they log in.
#include "api/coordination/etcd_calls.h"
#include "coordination/keyspace.h"

namespace evercert::api {
namespace {

using namespace etcdserverpb;

constexpr const char* kApiVersion = "3.4.0";  // of the API that is offered

Answered<StatusResponse> status(EtcdParts& parts) {
  const auto view = parts.coordinator.space().coordination_view();
  const auto meta = coordination::read_meta(*view);
  if (!meta) return std::unexpected(trouble(meta.error()));
  StatusResponse response;
  parts.coordinator.fill(response.mutable_header(), meta->revision);
  response.set_version(kApiVersion);
  const auto groups = parts.store.group_status();
  if (groups.empty()) return response;
  const auto& global = groups.front();
  response.set_leader(global.leader.value);
  response.set_raftterm(global.term.value);
  response.set_raftindex(global.commit.value);
  response.set_raftappliedindex(global.applied.value);
  if (global.leader == NodeId{0}) response.add_errors("etcdserver: no leader");
  return response;
}

MemberListResponse members(EtcdParts& parts) {
  MemberListResponse response;
  parts.coordinator.fill(response.mutable_header(), 0);
  for (const auto& member : parts.options.members) {
    auto* out = response.add_members();
    out->set_id(member.node.value);
    out->set_name(member.name);
    out->add_clienturls(member.client_url);
    out->add_peerurls(member.peer_url);
  }
  return response;
}

// The token is its own session: nothing is kept here.
Answered<AuthenticateResponse> authenticate(EtcdParts& parts, const AuthenticateRequest& request) {
  if (!parts.access.known(request.name(), request.password())) {
    return std::unexpected(
        trouble(Error{Code::kInvalid, "etcdserver: authentication failed, invalid user ID or password"}));
  }
  AuthenticateResponse response;
  parts.coordinator.fill(response.mutable_header(), 0);
  response.set_token(request.password());
  return response;
}

}  // namespace

void serve_status(EtcdParts& parts) {
  serve_as<&Maintenance::AsyncService::RequestStatus, Maintenance::AsyncService, StatusRequest, StatusResponse>(
      parts.queue, parts.access, Role::kReader, parts.services.maintenance,
      [&parts](CallInfo, StatusRequest) -> Task<Answered<StatusResponse>> { co_return status(parts); });
  serve_as<&Maintenance::AsyncService::RequestAlarm, Maintenance::AsyncService, AlarmRequest, AlarmResponse>(
      parts.queue, parts.access, Role::kReader, parts.services.maintenance,
      [&parts](CallInfo, AlarmRequest) -> Task<Answered<AlarmResponse>> {
        AlarmResponse none;
        parts.coordinator.fill(none.mutable_header(), 0);
        co_return none;
      });
  serve_as<&Cluster::AsyncService::RequestMemberList, Cluster::AsyncService, MemberListRequest, MemberListResponse>(
      parts.queue, parts.access, Role::kReader, parts.services.cluster,
      [&parts](CallInfo, MemberListRequest) -> Task<Answered<MemberListResponse>> { co_return members(parts); });
  serve_as<&Auth::AsyncService::RequestAuthenticate, Auth::AsyncService, AuthenticateRequest, AuthenticateResponse>(
      parts.queue, parts.access, Role::kNone, parts.services.auth,
      [&parts](CallInfo, AuthenticateRequest request) -> Task<Answered<AuthenticateResponse>> {
        co_return authenticate(parts, request);
      });
}

}  // namespace evercert::api
