// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/access.h"

#include <grpcpp/grpcpp.h>

#include "base/encoding.h"

namespace evercert::api {

Role Access::role_of(const grpc::ServerContext& context) const {
  for (const auto& name : context.auth_context()->FindPropertyValues("peer_uri")) {
    if (std::string_view(name.data(), name.size()).starts_with(operator_identities_)) return Role::kOperator;
  }
  for (const char* header : {"authorization", "token"}) {
    const auto found = context.client_metadata().find(header);
    if (found == context.client_metadata().end()) continue;
    std::string_view token(found->second.data(), found->second.size());
    if (token.starts_with("Bearer ")) token.remove_prefix(7);
    // The look-up is by hash: what an attacker could time is the hash of a guess.
    if (const auto entry = tokens_.find(sha256(token)); entry != tokens_.end()) return entry->second.second;
  }
  return Role::kNone;
}

grpc::Status Access::check(const grpc::ServerContext& context, Role least) const {
  if (least == Role::kNone) return grpc::Status::OK;
  const Role role = role_of(context);
  if (role == Role::kNone) {
    // In etcd's words for a caller who shows nothing: its clients try a bad token again many times, after logging in.
    const auto& shown = context.client_metadata();
    if (!shown.contains("authorization") && !shown.contains("token"))
      return {grpc::StatusCode::INVALID_ARGUMENT, "etcdserver: user name is empty"};
    return {grpc::StatusCode::UNAUTHENTICATED, "etcdserver: invalid auth token"};
  }
  if (role < least) return {grpc::StatusCode::PERMISSION_DENIED, "etcdserver: permission denied"};
  return grpc::Status::OK;
}

bool Access::known(const std::string& name, const std::string& token) const {
  const auto entry = tokens_.find(sha256(token));
  return entry != tokens_.end() && entry->second.first == name;
}

}  // namespace evercert::api
