// SPDX-License-Identifier: Apache-2.0
#include "pki/lint.h"

#include <algorithm>

#include "pki/der.h"
#include "pki/openssl.h"

namespace evercert::pki {
namespace {

Status finding(const char* name, std::string what) {
  return fail(Code::kInvalid, std::string("lint ") + name + ": " + std::move(what));
}

Status lint_extensions(const Profile& profile, X509* certificate) {
  const std::uint32_t flags = X509_get_extension_flags(certificate);
  if (flags & EXFLAG_INVALID) return finding("e_extensions_parse", "an extension does not parse");
  const bool ca = profile.usage == Usage::kIssuingCa;
  if (((flags & EXFLAG_CA) != 0) != ca) return finding("e_basic_constraints", "CA flag does not fit the profile");
  const std::uint32_t usage = X509_get_key_usage(certificate);
  if (usage == UINT32_MAX) return finding("e_key_usage_missing", "there is no key usage");
  if (!ca && (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)))
    return finding("e_key_usage_ca_bits", "a leaf may not sign certificates");
  if (X509_get0_subject_key_id(certificate) == nullptr) return finding("e_ski_missing", "no subject key identifier");
  if (X509_get0_authority_key_id(certificate) == nullptr)
    return finding("e_aki_missing", "no authority key identifier");
  const std::uint32_t extended = X509_get_extended_key_usage(certificate);
  if (!ca && extended == UINT32_MAX) return finding("e_eku_missing", "there is no extended key usage");
  if (!ca && profile.usage != Usage::kOcspResponder && (extended & XKU_OCSP_SIGN)) {
    return finding("e_eku_ocsp", "only a responder may sign OCSP answers");
  }
  return {};
}

}  // namespace

Status lint(const Profile& profile, const CertificateRequest& request, std::string_view tbs,
            std::string_view algorithm) {
  const std::string whole = der::wrap(der::kSequence, std::string(tbs) + std::string(algorithm) + der::bit_string(""));
  EC_ASSIGN(const auto facts, read_certificate(whole));
  if (request.serial.size() != 16 || facts.serial != request.serial || request.serial[0] <= 0) {
    return finding("e_serial_number", "the serial number must be 16 octets and positive");
  }
  if (facts.not_before != request.not_before || facts.not_after != request.not_after ||
      facts.not_after <= facts.not_before) {
    return finding("e_validity", "the dates are not those asked for, or in the wrong order");
  }
  if (facts.not_after - facts.not_before > profile.validity_seconds + kBackdateSeconds) {
    return finding("e_validity_too_long", "longer than the profile '" + profile.name + "' allows");
  }
  auto names = request.names;
  std::sort(names.begin(), names.end());
  auto encoded = facts.names;
  std::sort(encoded.begin(), encoded.end());
  if (names != encoded) return finding("e_san_differs", "the encoded names are not the names asked for");
  for (const Name& name : names) {
    EC_TRY(check_name(name));
    if (std::find(profile.name_kinds.begin(), profile.name_kinds.end(), name.kind) == profile.name_kinds.end()) {
      return finding("e_name_kind", "the profile '" + profile.name + "' allows no " + to_string(name.kind) + " names");
    }
  }
  const bool leaf = profile.usage == Usage::kServer || profile.usage == Usage::kClient || profile.usage == Usage::kBoth;
  if (leaf && names.empty()) return finding("e_san_missing", "a certificate needs at least one name");
  if (facts.subject_cn != request.common_name)
    return finding("e_subject_differs", "the common name is not the one asked for");
  if (facts.subject_cn.size() > 64) return finding("e_cn_too_long", "more than 64 characters (RFC 5280 appendix A)");
  if (leaf && !facts.subject_cn.empty() &&
      std::none_of(names.begin(), names.end(), [&](const Name& n) { return n.value == facts.subject_cn; })) {
    return finding("e_cn_not_in_san", "the common name is not among the names");
  }
  if (facts.spki_der != request.key->spki_der()) return finding("e_spki_differs", "another public key was encoded");
  const unsigned char* at = bytes(whole);
  const X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(whole.size())));
  return lint_extensions(profile, certificate.get());
}

}  // namespace evercert::pki
