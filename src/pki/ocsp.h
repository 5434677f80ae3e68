// SPDX-License-Identifier: Apache-2.0
// OCSP (RFC 6960): requests read, answers made and signed by a delegated responder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/signer.h"

namespace evercert::pki {

inline constexpr std::size_t kMaxOcspRequestBytes = 4096;
inline constexpr std::size_t kMaxOcspIds = 16;

struct OcspCertId {
  std::string der;                                // as asked; repeated in the answer
  std::string issuer_name_hash, issuer_key_hash;  // SHA-1 (20 bytes) or SHA-256 (32)
  std::string serial;
};
struct OcspRequest {
  std::vector<OcspCertId> ids;
  std::optional<std::string> nonce;  // the extension's value, RFC 8954
};

// kInvalid: malformed, too large, other hash algorithms.
Result<OcspRequest> parse_ocsp_request(std::string_view der);
// The path of a GET request behind the responder's URL: percent-encoded base64 (RFC 6960 appendix A.1). kInvalid.
Result<std::string> decode_ocsp_path(std::string_view path);

enum class CertStatus { kGood, kRevoked, kUnknown };
struct OcspAnswer {
  OcspCertId id;
  CertStatus status = CertStatus::kUnknown;
  std::int64_t revoked_at = 0;  // seconds
  int reason = 0;               // RFC 5280 section 5.3.1
};

// Hashes by which requests name an issuer.
struct IssuerHashes {
  std::string name_sha1, key_sha1, name_sha256, key_sha256;
};
Result<IssuerHashes> issuer_hashes(std::string_view issuer_certificate_der);

// A whole successful response. kUnavailable: the responder's key cannot be used now.
Result<std::string> make_ocsp_response(const std::vector<OcspAnswer>& answers, std::int64_t this_update,
                                       std::int64_t next_update, const std::optional<std::string>& nonce,
                                       const Signer& responder, std::string_view responder_certificate_der);

enum class OcspError { kMalformedRequest = 1, kInternalError = 2, kTryLater = 3, kUnauthorized = 6 };
const std::string& ocsp_error_response(OcspError error);

// Reads a response back (for clients and checks): verifies the signature by the responder certificate inside against
// the issuer. kInvalid.
struct OcspResult {
  CertStatus status;
  std::int64_t this_update, next_update, revoked_at;
  int reason;
};
Result<OcspResult> read_ocsp_response(std::string_view der, std::string_view issuer_certificate_der,
                                      std::string_view serial);
// A request for one certificate, SHA-1 identifiers as most clients send.
Result<std::string> make_ocsp_request(std::string_view issuer_certificate_der, std::string_view serial);

}  // namespace evercert::pki
