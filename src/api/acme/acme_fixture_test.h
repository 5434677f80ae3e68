// SPDX-License-Identifier: Apache-2.0
// ACME in several regions over one store, and clients that sign for themselves.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/acme/acme.h"
#include "base/encoding.h"
#include "base/os/system.h"
#include "keys/software_signer.h"
#include "pki/openssl.h"
#include "pki/pem.h"
#include "store/keys.h"
#include "testkit/test_ca.h"

namespace evercert::api {

using nlohmann::json;

// A P-256 key and what a client does with it (RFC 7515, RFC 7518 section 3.4).
class ClientKey {
 public:
  json jwk() const {
    const std::string point = signer_->spki_der().substr(signer_->spki_der().size() - 64);
    return {{"kty", "EC"},
            {"crv", "P-256"},
            {"x", to_base64url(point.substr(0, 32))},
            {"y", to_base64url(point.substr(32))}};
  }
  std::string thumbprint() const { return sha256(jwk().dump()); }
  std::string csr(const std::vector<std::string>& names) const {
    std::vector<pki::Name> wanted;
    for (const auto& name : names) {
      const bool address = name.find_first_not_of("0123456789.") == std::string::npos;
      wanted.push_back({address ? pki::NameKind::kIp : pki::NameKind::kDns, name});
    }
    const auto pem = keys::make_csr_pem(pem_, wanted).value();
    return to_base64url(pki::from_pem("CERTIFICATE REQUEST", pem).value().front());
  }
  // A flattened JWS.
  json sign(const json& header, const std::string& payload) const {
    const std::string head = to_base64url(header.dump()), body = to_base64url(payload);
    const std::string der = signer_->sign(head + "." + body).value();
    const unsigned char* at = pki::bytes(der);
    const pki::Owned<ECDSA_SIG, ECDSA_SIG_free> pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
    unsigned char raw[64];
    BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), raw + 32, 32);
    return {{"protected", head},
            {"payload", body},
            {"signature", to_base64url({reinterpret_cast<const char*>(raw), sizeof raw})}};
  }

 private:
  std::string pem_ = keys::generate_key_pem(pki::KeyKind::kP256).value();
  std::shared_ptr<pki::Signer> signer_ = keys::software_signer(pem_).value();
};

class FakeValidator : public Validator {
 public:
  Task<std::optional<AcmeError>> validate(Executor&, ValidationRequest request) override {
    asked.push_back(request);
    if (const auto others = during) others();
    co_return answer;
  }
  Task<std::optional<AcmeError>> still_allowed(Executor&, ValidationRequest request) override {
    asked_again.push_back(request);
    co_return answer;
  }
  std::vector<ValidationRequest> asked, asked_again;
  std::optional<AcmeError> answer;
  std::function<void()> during;
};

struct Reply {
  int status = 0;
  net::Headers headers;
  std::string text;
  json body;
  std::string type() const {
    const std::string whole = body.is_object() ? body.value("type", "") : "";
    const std::string prefix = "urn:ietf:params:acme:error:";
    return whole.starts_with(prefix) ? whole.substr(prefix.size()) : whole;
  }
};

class AcmeFixture : public testing::Test {
 protected:
  static constexpr std::size_t kRegions = 3;
  const std::string base = "https://ca.test/acme";

  AcmeFixture() { restart({}); }

  // Nodes with these terms of service.
  void restart(const AcmeOptions::Terms& terms) {
    for (std::size_t r = 1; r <= kRegions; ++r) {
      auto& place = places_[r];
      place.router = Router();
      place.nonces = std::make_unique<Nonces>("one key for all regions", cluster.clock, cluster.wall, random());
      AcmeOptions options{RegionId{static_cast<std::uint8_t>(r)}, kRegions};
      options.orders_per_page = 4;
      options.terms = terms;
      place.acme = std::make_unique<Acme>(options, *cluster.region(r).ca, cluster.store, *place.nonces, validator,
                                          cluster.wall, random());
      place.acme->mount(place.router);
    }
  }

  static Random& random() { return os::secure_random(); }

  std::string nonce(std::size_t region = 1) {
    return send(region, "HEAD", "/acme/new-nonce", "").headers.get("Replay-Nonce");
  }

  Reply send(std::size_t region, const std::string& method, const std::string& target, std::string body,
             const std::string& content_type = "application/jose+json") {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.path = target.substr(0, target.find('?'));
    request.query = target.find('?') == std::string::npos ? "" : target.substr(target.find('?') + 1);
    request.headers.set("Host", "ca.test");
    request.headers.set("Content-Type", content_type);
    request.body = std::move(body);
    request.executor = &cluster.executor;
    auto response = testkit::finish(cluster.executor, places_.at(region).router.route(std::move(request)));
    return {response.status, response.headers, response.bytes(), json::parse(response.bytes(), nullptr, false)};
  }

  // Signed by the key alone, or by an account's key with its URL as `kid`. Payload "" is POST-as-GET.
  json header(const ClientKey& key, const std::string& kid, const std::string& url, std::size_t region = 1) {
    json out{{"alg", "ES256"}, {"nonce", nonce(region)}, {"url", url}};
    if (kid.empty()) {
      out["jwk"] = key.jwk();
    } else {
      out["kid"] = kid;
    }
    return out;
  }
  Reply post(std::size_t region, const ClientKey& key, const std::string& kid, const std::string& url,
             const std::string& payload) {
    const std::string target = url.substr(std::string("https://ca.test").size());
    return send(region, "POST", target, key.sign(header(key, kid, url, region), payload).dump());
  }
  Reply post(std::size_t region, const ClientKey& key, const std::string& kid, const std::string& url,
             const char* payload) {
    return post(region, key, kid, url, std::string(payload));
  }
  Reply post(std::size_t region, const ClientKey& key, const std::string& kid, const std::string& url,
             const json& payload) {
    return post(region, key, kid, url, payload.dump());
  }

  std::string new_account(const ClientKey& key, std::size_t region = 1) {
    const Reply reply = post(region, key, "", base + "/new-account", json{{"termsOfServiceAgreed", true}});
    EXPECT_EQ(reply.status, 201) << reply.text;
    return reply.headers.get("Location");
  }

  struct Order {
    std::string url;
    json document;
  };
  static json identifiers(const std::vector<std::string>& names, const char* type = "dns") {
    json list = json::array();
    for (const auto& name : names) list.push_back({{"type", type}, {"value", name}});
    return {{"identifiers", list}};
  }
  Order new_order(const ClientKey& key, const std::string& kid, const std::vector<std::string>& names,
                  std::size_t region = 1) {
    const Reply reply = post(region, key, kid, base + "/new-order", identifiers(names));
    EXPECT_EQ(reply.status, 201) << reply.text;
    return {reply.headers.get("Location"), reply.body};
  }
  Reply prove(const ClientKey& key, const std::string& kid, const std::string& authorization, std::size_t region = 1,
              const std::string& type = "http-01") {
    const Reply seen = post(region, key, kid, authorization, "");
    for (const auto& challenge : seen.body["challenges"]) {
      if (challenge["type"] == type) return post(region, key, kid, challenge["url"], json::object());
    }
    return seen;
  }
  Order ready_order(const ClientKey& key, const std::string& kid, const std::vector<std::string>& names) {
    Order order = new_order(key, kid, names);
    for (const auto& url : order.document["authorizations"])
      EXPECT_EQ(prove(key, kid, url, 1, "dns-01").body["status"], "valid");
    return order;
  }
  Reply finalize(const ClientKey& key, const std::string& kid, const Order& order, const std::string& csr,
                 std::size_t region = 1) {
    return post(region, key, kid, order.url + "/finalize", json{{"csr", csr}});
  }
  // DER of a certificate for `name`.
  std::string certificate(const ClientKey& key, const std::string& kid, const ClientKey& leaf,
                          const std::string& name) {
    const Order order = ready_order(key, kid, {name});
    const Reply done = finalize(key, kid, order, leaf.csr({name}));
    EXPECT_EQ(done.body["status"], "valid") << done.text;
    return pki::from_pem("CERTIFICATE", post(1, key, kid, done.body["certificate"], "").text).value().front();
  }

  testkit::TestCa cluster{kRegions};
  FakeValidator validator;

 private:
  struct Place {
    std::unique_ptr<Nonces> nonces;
    std::unique_ptr<Acme> acme;
    Router router;
  };
  std::map<std::size_t, Place> places_;
};

}  // namespace evercert::api
