// SPDX-License-Identifier: Apache-2.0
#include "pki/ocsp.h"

#include <ctime>

#include "base/encoding.h"
#include "pki/der.h"
#include "pki/openssl.h"

namespace evercert::pki {
namespace {

using RequestPtr = Owned<OCSP_REQUEST, OCSP_REQUEST_free>;
using ResponsePtr = Owned<OCSP_RESPONSE, OCSP_RESPONSE_free>;
using BasicPtr = Owned<OCSP_BASICRESP, OCSP_BASICRESP_free>;

std::string content_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

Result<OcspCertId> read_id(OCSP_CERTID* id) {
  ASN1_OCTET_STRING* name = nullptr;
  ASN1_OBJECT* algorithm = nullptr;
  ASN1_OCTET_STRING* key = nullptr;
  ASN1_INTEGER* serial = nullptr;
  OCSP_id_get0_info(&name, &algorithm, &key, &serial, id);
  const int nid = OBJ_obj2nid(algorithm);
  const int size = nid == NID_sha1 ? 20 : nid == NID_sha256 ? 32 : 0;
  OcspCertId out{to_der(id, i2d_OCSP_CERTID), content_of(name), content_of(key), content_of(serial)};
  if (size == 0 || static_cast<int>(out.issuer_name_hash.size()) != size ||
      static_cast<int>(out.issuer_key_hash.size()) != size) {
    return fail(Code::kInvalid, "the request must name issuers by SHA-1 or SHA-256");
  }
  return out;
}

// SingleResponse (RFC 6960 section 4.2.1).
std::string single_response(const OcspAnswer& answer, std::int64_t this_update, std::int64_t next_update) {
  std::string status;
  if (answer.status == CertStatus::kGood) {
    status = std::string("\x80\x00", 2);
  } else if (answer.status == CertStatus::kUnknown) {
    status = std::string("\x82\x00", 2);
  } else {
    std::string info = der::generalized_time(answer.revoked_at);
    if (answer.reason != 0) {
      info += der::wrap(der::context(0), der::wrap(der::kEnumerated, std::string(1, static_cast<char>(answer.reason))));
    }
    status = der::wrap(der::context(1), info);
  }
  return der::wrap(der::kSequence, answer.id.der + status + der::generalized_time(this_update) +
                                       der::wrap(der::context(0), der::generalized_time(next_update)));
}

std::string nonce_extension(const std::string& nonce) {
  const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
  const std::string inner = der::wrap(der::kOctetString, nonce);
  ASN1_OCTET_STRING_set(value.get(), bytes(inner), static_cast<int>(inner.size()));
  const ExtPtr extension(X509_EXTENSION_create_by_NID(nullptr, NID_id_pkix_OCSP_Nonce, 0, value.get()));
  return to_der(extension.get(), i2d_X509_EXTENSION);
}

std::string digest(const EVP_MD* hash, std::string_view data) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  EVP_Digest(data.data(), data.size(), out, &n, hash, nullptr);
  return {reinterpret_cast<char*>(out), n};
}

X509Ptr parse_certificate(std::string_view der) {
  const unsigned char* at = bytes(der);
  return X509Ptr(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
}

std::string key_bits(X509* certificate) { return content_of(X509_get0_pubkey_bitstr(certificate)); }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<OcspRequest> parse_ocsp_request(std::string_view der) {
  if (der.empty() || der.size() > kMaxOcspRequestBytes)
    return fail(Code::kInvalid, "the OCSP request is empty or over 4 KiB");
  const unsigned char* at = bytes(der);
  const RequestPtr request(d2i_OCSP_REQUEST(nullptr, &at, static_cast<long>(der.size())));
  if (!request || at != bytes(der) + der.size()) {
    ERR_clear_error();
    return fail(Code::kInvalid, "the OCSP request does not parse");
  }
  const int count = OCSP_request_onereq_count(request.get());
  if (count < 1 || count > static_cast<int>(kMaxOcspIds))
    return fail(Code::kInvalid, "ask for 1 to 16 certificates at a time");
  OcspRequest out;
  for (int i = 0; i < count; ++i) {
    EC_ASSIGN(auto id, read_id(OCSP_onereq_get0_id(OCSP_request_onereq_get0(request.get(), i))));
    out.ids.push_back(std::move(id));
  }
  const int index = OCSP_REQUEST_get_ext_by_NID(request.get(), NID_id_pkix_OCSP_Nonce, -1);
  if (index >= 0) {
    const std::string value = content_of(X509_EXTENSION_get_data(OCSP_REQUEST_get_ext(request.get(), index)));
    const unsigned char* inner = bytes(value);
    const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> nonce(
        d2i_ASN1_OCTET_STRING(nullptr, &inner, static_cast<long>(value.size())));
    ERR_clear_error();
    // Old clients put the bare bytes there; RFC 8954 wants an OCTET STRING of 1 to 32 bytes.
    if (!nonce || ASN1_STRING_length(nonce.get()) < 1 || ASN1_STRING_length(nonce.get()) > 32) {
      return fail(Code::kInvalid, "the nonce must be an OCTET STRING of 1 to 32 bytes");
    }
    out.nonce = content_of(nonce.get());
  }
  return out;
}

Result<std::string> decode_ocsp_path(std::string_view path) {
  if (path.size() > 2 * kMaxOcspRequestBytes) return fail(Code::kInvalid, "the OCSP request is too long");
  std::string text;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      text.push_back(path[i]);
      continue;
    }
    const int high = i + 2 < path.size() ? hex_digit(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_digit(path[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(Code::kInvalid, "the path has a broken percent escape");
    text.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return from_base64(text);
}

Result<IssuerHashes> issuer_hashes(std::string_view issuer_certificate_der) {
  const X509Ptr issuer = parse_certificate(issuer_certificate_der);
  if (!issuer) return fail(Code::kInvalid, "the issuer's certificate does not parse: " + last_openssl_error());
  const std::string name = to_der(X509_get_subject_name(issuer.get()), i2d_X509_NAME);
  const std::string key = key_bits(issuer.get());
  return IssuerHashes{digest(EVP_sha1(), name), digest(EVP_sha1(), key), digest(EVP_sha256(), name),
                      digest(EVP_sha256(), key)};
}

Result<std::string> make_ocsp_response(const std::vector<OcspAnswer>& answers, std::int64_t this_update,
                                       std::int64_t next_update, const std::optional<std::string>& nonce,
                                       const Signer& responder, std::string_view responder_certificate_der) {
  const X509Ptr certificate = parse_certificate(responder_certificate_der);
  if (!certificate) return fail(Code::kInternal, "the responder's certificate does not parse");
  std::string singles;
  for (const auto& answer : answers) singles += single_response(answer, this_update, next_update);
  std::string data =
      der::wrap(der::context(2), der::wrap(der::kOctetString, digest(EVP_sha1(), key_bits(certificate.get()))));
  data += der::generalized_time(this_update);  // producedAt
  data += der::wrap(der::kSequence, singles);
  if (nonce) data += der::wrap(der::context(1), der::wrap(der::kSequence, nonce_extension(*nonce)));
  const std::string tbs = der::wrap(der::kSequence, data);
  EC_ASSIGN(const auto signature, responder.sign(tbs));
  const std::string basic =
      der::wrap(der::kSequence, tbs + responder.algorithm_der() + der::bit_string(signature) +
                                    der::wrap(der::context(0), der::wrap(der::kSequence, responder_certificate_der)));
  static const std::string basic_oid = to_der(OBJ_nid2obj(NID_id_pkix_OCSP_basic), i2d_ASN1_OBJECT);
  return der::wrap(
      der::kSequence,
      der::wrap(der::kEnumerated, std::string(1, '\0')) +
          der::wrap(der::context(0), der::wrap(der::kSequence, basic_oid + der::wrap(der::kOctetString, basic))));
}

const std::string& ocsp_error_response(OcspError error) {
  static const auto make = [](OcspError e) {
    return der::wrap(der::kSequence, der::wrap(der::kEnumerated, std::string(1, static_cast<char>(e))));
  };
  static const std::string malformed = make(OcspError::kMalformedRequest), internal = make(OcspError::kInternalError),
                           later = make(OcspError::kTryLater), unauthorized = make(OcspError::kUnauthorized);
  switch (error) {
    case OcspError::kMalformedRequest: return malformed;
    case OcspError::kTryLater: return later;
    case OcspError::kUnauthorized: return unauthorized;
    case OcspError::kInternalError: break;
  }
  return internal;
}

Result<std::string> make_ocsp_request(std::string_view issuer_certificate_der, std::string_view serial) {
  const X509Ptr issuer = parse_certificate(issuer_certificate_der);
  if (!issuer) return fail(Code::kInvalid, "the issuer's certificate does not parse");
  const BnPtr number(BN_bin2bn(bytes(serial), static_cast<int>(serial.size()), nullptr));
  const Owned<ASN1_INTEGER, ASN1_INTEGER_free> value(BN_to_ASN1_INTEGER(number.get(), nullptr));
  OCSP_CERTID* id = OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer.get()),
                                     X509_get0_pubkey_bitstr(issuer.get()), value.get());
  const RequestPtr request(OCSP_REQUEST_new());
  OCSP_request_add0_id(request.get(), id);
  return to_der(request.get(), i2d_OCSP_REQUEST);
}

Result<OcspResult> read_ocsp_response(std::string_view der, std::string_view issuer_certificate_der,
                                      std::string_view serial) {
  const unsigned char* at = bytes(der);
  const ResponsePtr response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der.size())));
  if (!response) return fail(Code::kInvalid, "the OCSP response does not parse: " + last_openssl_error());
  if (OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return fail(Code::kUnavailable,
                std::string("the responder says ") + OCSP_response_status_str(OCSP_response_status(response.get())));
  }
  const BasicPtr basic(OCSP_response_get1_basic(response.get()));
  const X509Ptr issuer = parse_certificate(issuer_certificate_der);
  if (!basic || !issuer) return fail(Code::kInvalid, "no basic OCSP response");
  const Owned<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), issuer.get());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (OCSP_basic_verify(basic.get(), nullptr, store.get(), 0) != 1) {
    return fail(Code::kInvalid, "the OCSP response is not signed for this issuer: " + last_openssl_error());
  }
  for (int i = 0; i < OCSP_resp_count(basic.get()); ++i) {
    OCSP_SINGLERESP* single = OCSP_resp_get0(basic.get(), i);
    ASN1_INTEGER* number = nullptr;
    OCSP_id_get0_info(nullptr, nullptr, nullptr, &number, const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single)));
    if (content_of(number) != serial) continue;
    int reason = 0;
    ASN1_GENERALIZEDTIME *revoked = nullptr, *from = nullptr, *until = nullptr;
    const int status = OCSP_single_get0_status(single, &reason, &revoked, &from, &until);
    return OcspResult{status == V_OCSP_CERTSTATUS_GOOD      ? CertStatus::kGood
                      : status == V_OCSP_CERTSTATUS_REVOKED ? CertStatus::kRevoked
                                                            : CertStatus::kUnknown,
                      seconds_of(from), seconds_of(until), seconds_of(revoked), std::max(0, reason)};
  }
  return fail(Code::kInvalid, "the OCSP response says nothing about this serial number");
}

}  // namespace evercert::pki
