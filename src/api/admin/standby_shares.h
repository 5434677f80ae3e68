// SPDX-License-Identifier: Apache-2.0
// This region's shares of what opens the standbys of other regions' issuing keys (keys/standby.h), and to whom they are
// given: a node of the region that stands in, while this node's own copy of the membership says so.
// GET /v1/standby/{issuer}/share over mutual TLS between nodes; no token and no edge will do.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/rest/router.h"
#include "store/store.h"

namespace evercert::api {

class StandbyShares {
 public:
  // `cluster`: as in the identities evercert://<cluster>/node/ID. `names` by RegionId, from 1. `shares`: one line each
  // (keys/shares.h), by the issuer's region. The store outlives it.
  StandbyShares(const std::string& cluster, std::vector<std::string> names, std::map<std::string, std::string> shares,
                store::Store& store)
      : node_identities_("evercert://" + cluster + "/node/"),
        names_(std::move(names)),
        shares_(std::move(shares)),
        store_(store) {}
  void mount(Router& router);

 private:
  // 403: the caller is no node of the region that stands in for the issuer now. 404: no such share.
  net::HttpResponse give(const net::HttpRequest& request, const std::string& issuer) const;

  std::string node_identities_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> shares_;
  store::Store& store_;
};

}  // namespace evercert::api
