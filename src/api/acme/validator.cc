// SPDX-License-Identifier: Apache-2.0
#include "api/acme/validator.h"

#include "base/encoding.h"

namespace evercert::api {
namespace {

class ValidatorImpl : public Validator {
 public:
  ValidatorImpl(ValidatorOptions options, std::unique_ptr<net::HttpClient> client)
      : options_(std::move(options)),
        client_(std::move(client)),
        dns_(net::DnsResolver::create(options_.resolver, options_.local_address)) {}

  Task<std::optional<AcmeError>> validate(Executor& on, std::string name, bool wildcard, std::string type,
                                          std::string token, std::string key_authorization) override {
    if (auto refused = co_await caa(on, name, wildcard)) co_return refused;
    if (type == "dns-01") co_return co_await dns01(on, name, key_authorization);
    co_return co_await http01(on, name, token, key_authorization);
  }

 private:
  // The closest ancestor with CAA records decides (RFC 8659 section 3). Without a configured identity only "issue ;"
  // forbids.
  Task<std::optional<AcmeError>> caa(Executor& on, std::string name, bool wildcard) {
    std::string at = name;
    while (!at.empty()) {
      const auto records = co_await dns_->lookup(on, at, net::DnsType::kCaa);
      if (!records) co_return AcmeError{400, "caa", records.error().message};
      if (!records->empty()) {
        bool relevant = false, allowed = false;
        for (const auto& record : *records) {
          const bool wild = record.starts_with("issuewild ");
          if (!wild && !record.starts_with("issue ")) continue;
          if (wild && !wildcard) continue;
          relevant = true;
          const std::string value = record.substr(record.find(' ') + 1);
          allowed =
              allowed || (!options_.caa_identity.empty() && value.substr(0, value.find(';')) == options_.caa_identity);
        }
        if (relevant && !allowed)
          co_return AcmeError{403, "caa", "CAA records at " + at + " do not allow this CA to issue"};
        break;
      }
      const auto dot = at.find('.');
      at = dot == std::string::npos ? "" : at.substr(dot + 1);
    }
    co_return std::nullopt;
  }

  Task<std::optional<AcmeError>> http01(Executor& on, std::string name, std::string token,
                                        std::string key_authorization) {
    const auto addresses = co_await dns_->lookup(on, name, net::DnsType::kA);
    if (!addresses) co_return AcmeError{400, "dns", addresses.error().message};
    if (addresses->empty()) co_return AcmeError{400, "dns", name + " has no address"};
    net::HttpCall call;
    call.target = {addresses->front(), options_.http01_port, false, ""};
    call.path = "/.well-known/acme-challenge/" + token;
    call.headers.set("Host", options_.http01_port == 80 ? name : name + ":" + std::to_string(options_.http01_port));
    call.timeout = 3s;
    call.max_response_bytes = 16 * 1024;
    const auto response = co_await client_->fetch(on, call);
    if (!response) co_return AcmeError{400, "connection", "http://" + name + ": " + response.error().message};
    std::string body = response->body;
    while (!body.empty() && (body.back() == '\n' || body.back() == '\r' || body.back() == ' ')) body.pop_back();
    if (response->status != 200)
      co_return AcmeError{403, "unauthorized",
                          name + " answers the challenge with status " + std::to_string(response->status)};
    if (body != key_authorization)
      co_return AcmeError{403, "incorrectResponse", name + " serves another key authorization"};
    co_return std::nullopt;
  }

  Task<std::optional<AcmeError>> dns01(Executor& on, std::string name, std::string key_authorization) {
    const auto records = co_await dns_->lookup(on, "_acme-challenge." + name, net::DnsType::kTxt);
    if (!records) co_return AcmeError{400, "dns", records.error().message};
    const std::string wanted = to_base64url(sha256(key_authorization));
    for (const auto& record : *records) {
      if (record == wanted) co_return std::nullopt;
    }
    co_return AcmeError{403, "incorrectResponse",
                        "no TXT record at _acme-challenge." + name + " holds the key authorization's digest"};
  }

  ValidatorOptions options_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::DnsResolver> dns_;
};

}  // namespace

Result<std::unique_ptr<Validator>> make_validator(ValidatorOptions options) {
  net::HttpClientOptions client;
  client.local_address = options.local_address;
  client.idle_per_target = 0;
  EC_ASSIGN(auto made, net::HttpClient::create(client));
  return std::make_unique<ValidatorImpl>(std::move(options), std::move(made));
}

}  // namespace evercert::api
