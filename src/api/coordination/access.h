// SPDX-License-Identifier: Apache-2.0
// Who calls: a client certificate of an operator of this cluster, or one of the cluster's tokens, as bearer token or as
// etcd's clients send it (user: the token's name, password: the token).
#pragma once

#include <grpcpp/server_context.h>

#include "api/rest/rest.h"

namespace evercert::api {

class Access {
 public:
  // `cluster`: name in identities evercert://<cluster>/...; `tokens` as in RestOptions.
  Access(const std::string& cluster, std::map<std::string, std::pair<std::string, Role>> tokens)
      : operator_identities_("evercert://" + cluster + "/operator/"), tokens_(std::move(tokens)) {}

  Role role_of(const grpc::ServerContext& context) const;
  // OK, or what a caller with too little is told.
  grpc::Status check(const grpc::ServerContext& context, Role least) const;
  bool known(const std::string& name, const std::string& token) const;

 private:
  std::string operator_identities_;
  std::map<std::string, std::pair<std::string, Role>> tokens_;
};

}  // namespace evercert::api
