// SPDX-License-Identifier: Apache-2.0
#include "api/acme/validator.h"

#include "api/acme/caa.h"
#include "api/acme/http01.h"
#include "api/acme/tls_alpn01.h"
#include "base/encoding.h"

namespace evercert::api {
namespace {

class ValidatorImpl : public Validator {
 public:
  ValidatorImpl(ValidatorOptions options, std::unique_ptr<net::DnsResolver> dns,
                std::unique_ptr<net::HttpClient> client, std::unique_ptr<net::TlsProbe> tls, MonotonicClock& clock)
      : options_(std::move(options)),
        client_(std::move(client)),
        tls_(std::move(tls)),
        dns_(std::move(dns)),
        caa_(*dns_, options_.caa_identity, clock),
        http01_(*dns_, *client_, options_.http01_port),
        tls_alpn01_(*dns_, *tls_, options_.tls_alpn01_port) {}

  Task<std::optional<AcmeError>> validate(Executor& on, ValidationRequest request) override {
    if (auto refused = co_await still_allowed(on, request)) co_return refused;
    if (request.type == "tls-alpn-01") co_return co_await tls_alpn01_.check(on, request);
    if (request.type == "dns-01" && request.identifier_type != "ip") co_return co_await dns01(on, request);
    co_return co_await http01_.check(on, request);
  }

  Task<std::optional<AcmeError>> still_allowed(Executor& on, ValidationRequest request) override {
    if (request.identifier_type == "ip") co_return std::nullopt;
    CaaQuestion question{request.identifier, request.wildcard, request.account_id, request.type};
    co_return co_await caa_.refuse(on, std::move(question));
  }

 private:
  Task<std::optional<AcmeError>> dns01(Executor& on, const ValidationRequest& request) {
    const std::string at = "_acme-challenge." + request.identifier;
    const auto records = co_await dns_->lookup(on, at, net::DnsType::kTxt);
    if (!records) co_return AcmeError{400, "dns", records.error().message};
    const std::string wanted = to_base64url(sha256(request.key_authorization));
    for (const auto& record : *records) {
      if (record == wanted) co_return std::nullopt;
    }
    co_return AcmeError{403, "incorrectResponse", "no TXT record at " + at + " holds the key authorization's digest"};
  }

  ValidatorOptions options_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::TlsProbe> tls_;
  std::unique_ptr<net::DnsResolver> dns_;
  CaaCheck caa_;
  Http01 http01_;
  TlsAlpn01 tls_alpn01_;
};

}  // namespace

std::unique_ptr<Validator> make_validator(ValidatorOptions options, std::unique_ptr<net::DnsResolver> dns,
                                          std::unique_ptr<net::HttpClient> client, std::unique_ptr<net::TlsProbe> tls,
                                          MonotonicClock& clock) {
  return std::make_unique<ValidatorImpl>(std::move(options), std::move(dns), std::move(client), std::move(tls), clock);
}

Result<std::unique_ptr<Validator>> make_validator(ValidatorOptions options, MonotonicClock& clock) {
  net::HttpClientOptions client;
  client.local_address = options.local_address;
  client.idle_per_target = 0;
  EC_ASSIGN(auto made, net::HttpClient::create(client));
  auto dns = net::DnsResolver::create(options.resolver, options.local_address);
  auto tls = net::TlsProbe::create(options.local_address);
  return make_validator(std::move(options), std::move(dns), std::move(made), std::move(tls), clock);
}

}  // namespace evercert::api
