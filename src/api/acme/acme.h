// SPDX-License-Identifier: Apache-2.0
// ACME (RFC 8555) in every region. Accounts live where the hash of their first key says, orders where they were born;
// any region takes any request and sends what it changes to the record's home.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "api/acme/account_keys.h"
#include "api/acme/nonces.h"
#include "api/acme/validator.h"
#include "api/rest/router.h"
#include "ca/ca.h"
#include "store/store.h"

namespace evercert::api {

struct AcmeOptions {
  RegionId region;
  std::size_t regions = 0;
  std::string profile = "server";
  Duration timeout = 8s;
  std::size_t orders_per_page = 100;
  // What who orders must have agreed to (RFC 8555 section 7.3.3). An empty URL: nothing.
  struct Terms {
    std::string url, version;
  };
  Terms terms{};
  std::string caa_identity{};  // for the directory
};

class Acme {
 public:
  Acme(AcmeOptions options, ca::CertificateAuthority& ca, store::Store& store, Nonces& nonces, Validator& validator,
       WallClock& wall, Random& random)
      : options_(std::move(options)),
        ca_(ca),
        store_(store),
        nonces_(nonces),
        validator_(validator),
        wall_(wall),
        random_(random) {}
  void mount(Router& router);

 private:
  struct Request {
    net::HttpRequest http;
    std::string base;  // https://host/acme, as the client knows us
    Jws jws;
    store::v1::Account account;         // empty id: signed by a key without one
    std::optional<pki::PublicKey> key;  // of the account
    Executor& on() const { return *http.executor; }
  };
  using Refusal = std::optional<AcmeError>;
  using Answer = Task<AcmeResult<net::HttpResponse>>;
  using Handler = Answer (Acme::*)(Request&, const std::string& part);

  void post(Router& router, const std::string& pattern, Handler handler);
  Task<net::HttpResponse> handle(net::HttpRequest request, std::vector<std::string> parts, Handler handler);
  Task<Refusal> open(Request& request);
  static std::string base_of(const net::HttpRequest& request);
  net::HttpResponse directory(const net::HttpRequest& request);
  net::HttpResponse finish(net::HttpResponse response, const std::string& base);
  // The payload as an object; nullopt for the empty payload of POST-as-GET.
  static AcmeResult<std::optional<nlohmann::json>> payload_of(const Request& request);
  static Refusal only_reads(const Request& request);

  // accounts.cc
  bool agreed(const store::v1::Account& account) const;
  AcmeError terms_to_agree(std::string detail) const;
  void record_agreement(store::v1::Account& account) const;
  Answer new_account(Request& request, const std::string& part);
  Answer account(Request& request, const std::string& id);
  Answer orders(Request& request, const std::string& id);
  Answer key_change(Request& request, const std::string& part);
  Task<AcmeResult<std::optional<store::v1::Account>>> account_with_key(Executor& on, std::string thumbprint);
  using AccountChange = std::function<void(store::v1::Account&)>;
  Task<AcmeResult<store::v1::Account>> change_account(Request& request, const AccountChange& change);
  // orders.cc
  Answer new_order(Request& request, const std::string& part);
  Answer order(Request& request, const std::string& id);
  Answer finalize(Request& request, const std::string& id);
  Task<AcmeResult<store::v1::Order>> read_order(Request& request, std::string id);
  Task<Refusal> forbidden_by_now(Request& request, const store::v1::Order& order);
  // renewal_info.cc
  Task<net::HttpResponse> renewal_info(net::HttpRequest request, std::string id);
  struct Replaced {
    std::string id;
    bool due = false;
  };
  Task<AcmeResult<Replaced>> replaced(Request& request, const nlohmann::json& asked, const store::v1::Order& order);
  // authorizations.cc
  Answer authorization(Request& request, const std::string& id);
  Answer challenge(Request& request, const std::string& id_and_type);
  Task<AcmeResult<store::v1::Authorization>> read_authorization(Request& request, std::string id);
  Task<AcmeResult<store::v1::Authorization>> store_authorization(Request& request, store::v1::Authorization next);
  // certificates.cc
  Answer certificate(Request& request, const std::string& serial);
  Answer revoke(Request& request, const std::string& part);
  Task<AcmeResult<bool>> proved_all(Request& request, std::vector<pki::Name> names);

  Task<AcmeResult<store::v1::Account>> read_account(Executor& on, std::string id);
  Task<Refusal> fresh(Executor& on, GroupId group, std::string record);
  GroupId home_of(const std::string& known_id) const;
  // Regions of the cluster's beginning, among which accounts have their homes.
  store::RegionRoll founding() const {
    const auto view = store_.membership();
    return {view->founding, view->witnesses};
  }

  AcmeOptions options_;
  ca::CertificateAuthority& ca_;
  store::Store& store_;
  Nonces& nonces_;
  Validator& validator_;
  WallClock& wall_;
  Random& random_;
  AccountKeys keys_;
};

}  // namespace evercert::api
