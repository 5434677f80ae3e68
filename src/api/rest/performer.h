// SPDX-License-Identifier: Apache-2.0
// Carries out through the CA what was queued. A repetition after a crash finds what the first attempt did: an issuance
// by the idempotency key that it was queued with, a revocation by its request id.
#pragma once

#include "ca/ca.h"
#include "degraded/proto/queue.pb.h"

namespace evercert::api {

// The serial number of what was issued or revoked.
Task<Result<std::string>> perform_queued(ca::CertificateAuthority& ca, Executor& on, degraded::v1::Operation operation);
// kInvalid: the CSR does not parse.
Result<ca::IssueRequest> issue_request_of(const ca::CertificateAuthority& ca, const std::string& csr_pem,
                                          std::string profile);

}  // namespace evercert::api
