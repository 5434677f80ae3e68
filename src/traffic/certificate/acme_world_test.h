// SPDX-License-Identifier: Apache-2.0
// For tests: the cluster's own ACME servers of three regions, asked without a network, and a responder.
#pragma once

#include <algorithm>
#include <functional>
#include <string>

#include "api/acme/acme_fixture_test.h"
#include "traffic/certificate/acme_client.h"

namespace evercert::traffic {

class AcmeWorld : public api::AcmeFixture {
 protected:
  static constexpr const char* kDirectory = "https://ca.test/acme/directory";

  // To the region that `region` says at that moment; 0: nobody answers.
  AskAcme ask() {
    return [this](Executor&, AcmeRequest request) { return answer(std::move(request)); };
  }

  static std::string account_pem() { return keys::generate_key_pem(pki::KeyKind::kP256).value(); }
  static std::string csr_of(const std::vector<pki::Name>& names) {
    const auto pem = keys::make_csr_pem(keys::generate_key_pem(pki::KeyKind::kP256).value(), names).value();
    return pki::from_pem("CERTIFICATE REQUEST", pem).value().front();
  }

  std::size_t region = 1;
  std::vector<std::string> asked;  // targets
  std::function<void(api::Reply&, const std::string& target)> meddle;

 private:
  Task<Result<net::HttpResponse>> answer(AcmeRequest request) {
    const std::string target = request.url.substr(std::string("https://ca.test").size());
    asked.push_back(target);
    if (region == 0) co_return fail(Code::kUnavailable, "no node of any region could be reached");
    api::Reply reply = send(region, request.method, target, request.body, request.headers.get("Content-Type"));
    if (meddle) meddle(reply, target);
    net::HttpResponse response;
    response.status = reply.status;
    response.headers = reply.headers;
    response.body = reply.text;
    co_return response;
  }
};

}  // namespace evercert::traffic
