// SPDX-License-Identifier: Apache-2.0
// /v1: certificates by REST. Bearer tokens or client certificates; errors are RFC 7807 problems.
#pragma once

#include <map>
#include <string>

#include "api/rest/deferral.h"
#include "api/rest/router.h"
#include "ca/ca.h"
#include "store/store.h"

namespace evercert::api {

enum class Role { kNone, kReader, kIssuer, kOperator };

struct RestOptions {
  std::string region;
  std::map<std::string, std::pair<std::string, Role>> tokens;  // SHA-256 of the token: name, role
  std::string cluster;                                         // name in identities evercert://<cluster>/...
};

class Rest {
 public:
  Rest(RestOptions options, ca::CertificateAuthority& ca, store::Store& store)
      : options_(std::move(options)),
        edge_identities_("evercert://" + options_.cluster + "/edge/"),
        operator_identities_("evercert://" + options_.cluster + "/operator/"),
        ca_(ca),
        store_(store) {}
  void mount(Router& router);
  // Before requests come: what needs a majority that cannot be reached is queued or refused by it. Without, such work
  // is refused when its time is over.
  void defer_by(Deferral& deferral) { deferral_ = &deferral; }

  struct Caller {
    std::string name;
    Role role = Role::kNone;
  };
  Caller authenticate(const net::HttpRequest& request) const;
  // What a caller with less than `least` is told; nullopt: it may go on.
  std::optional<net::HttpResponse> refuse(const net::HttpRequest& request, Role least, Caller* caller) const;
  std::optional<net::HttpResponse> refuse(const net::HttpRequest& request, Role least) const {
    Caller caller;
    return refuse(request, least, &caller);
  }

 private:
  Task<net::HttpResponse> issue(net::HttpRequest request);
  Task<net::HttpResponse> get(net::HttpRequest request, std::string serial);
  Task<net::HttpResponse> revoke(net::HttpRequest request, std::string serial);
  Task<net::HttpResponse> list(net::HttpRequest request);

  bool from_edge(const net::HttpRequest& request) const;
  std::optional<degraded::ModeView> lost(GroupId group) const;
  bool renewal_due(const std::string& serial) const;
  bool known_key(const std::string& key) const;
  degraded::v1::Operation to_queue(const ca::IssueRequest& wanted, const std::string& csr_pem,
                                   const std::string& replaces) const;
  Task<net::HttpResponse> defer(const net::HttpRequest& request, const Caller& caller, degraded::ModeView mode,
                                degraded::v1::Operation wanted);

  RestOptions options_;
  std::string edge_identities_, operator_identities_;
  ca::CertificateAuthority& ca_;
  store::Store& store_;
  Deferral* deferral_ = nullptr;
};

}  // namespace evercert::api
