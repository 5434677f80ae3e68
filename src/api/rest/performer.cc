// SPDX-License-Identifier: Apache-2.0
#include "api/rest/performer.h"

#include "base/encoding.h"
#include "pki/csr.h"

namespace evercert::api {

Result<ca::IssueRequest> issue_request_of(const ca::CertificateAuthority& ca, const std::string& csr_pem,
                                          std::string profile) {
  EC_ASSIGN(auto csr, pki::parse_csr_pem(csr_pem));
  std::string digest = sha256(profile + "\n" + csr_pem);
  ca::IssueRequest wanted{std::move(csr), std::move(profile), {}, ca.options().region, {}, {}, std::move(digest)};
  wanted.names = wanted.csr.names;
  return wanted;
}

Task<Result<std::string>> perform_queued(ca::CertificateAuthority& ca, Executor& on,
                                         degraded::v1::Operation operation) {
  if (operation.kind() == degraded::v1::REVOCATION) {
    const auto revoked = co_await ca.revoke(on, operation.serial(), static_cast<int>(operation.reason()),
                                            operation.caller(), operation.repeat());
    if (!revoked) co_return fail(revoked.error());
    co_return operation.serial();
  }
  auto wanted = issue_request_of(ca, operation.csr_pem(), operation.profile());
  if (!wanted) co_return fail(std::move(wanted).error());
  wanted->request_key = operation.repeat();
  auto issued = co_await ca.issue(on, std::move(*wanted));
  if (!issued) co_return fail(std::move(issued).error());
  co_return std::move(issued->serial);
}

}  // namespace evercert::api
