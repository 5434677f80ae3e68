// SPDX-License-Identifier: Apache-2.0
#include "pki/lint.h"

#include <algorithm>

#include "pki/asn1_views.h"
#include "pki/names_openssl.h"
#include "pki/openssl.h"

namespace evercert::pki {
namespace {

Status finding(const char* name, std::string what) {
  return fail(Code::kInvalid, std::string("lint ") + name + ": " + std::move(what));
}

using KeyUsagePtr = Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free>;
using ExtendedUsagePtr = Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>;

Status lint_extensions(const Profile& profile, const TbsView& tbs, const CertificateFacts& facts) {
  for (int i = 0; i < sk_X509_EXTENSION_num(tbs.extensions); ++i) {
    const ASN1_OBJECT* kind = X509_EXTENSION_get_object(sk_X509_EXTENSION_value(tbs.extensions, i));
    if (X509v3_get_ext_by_OBJ(tbs.extensions, kind, i) >= 0)
      return finding("e_extension_twice", "RFC 5280 section 4.2 allows each extension once");
  }
  const bool ca = profile.usage == Usage::kIssuingCa;
  if (X509v3_get_ext_by_NID(tbs.extensions, NID_basic_constraints, -1) < 0 || facts.is_ca != ca)
    return finding("e_basic_constraints", "CA flag does not fit the profile");
  const auto usage = extension<KeyUsagePtr>(tbs.extensions, NID_key_usage);
  if (!usage) return finding("e_key_usage_missing", "there is no key usage");
  constexpr int kKeyCertSign = 5, kCrlSign = 6;  // bits, RFC 5280 section 4.2.1.3
  if (!ca && (ASN1_BIT_STRING_get_bit(usage.get(), kKeyCertSign) || ASN1_BIT_STRING_get_bit(usage.get(), kCrlSign)))
    return finding("e_key_usage_ca_bits", "a leaf may not sign certificates");
  if (facts.subject_key_id.empty()) return finding("e_ski_missing", "no subject key identifier");
  if (facts.authority_key_id.empty()) return finding("e_aki_missing", "no authority key identifier");
  if (ca) return {};
  const auto extended = extension<ExtendedUsagePtr>(tbs.extensions, NID_ext_key_usage);
  if (!extended) return finding("e_eku_missing", "there is no extended key usage");
  for (int i = 0; profile.usage != Usage::kOcspResponder && i < sk_ASN1_OBJECT_num(extended.get()); ++i) {
    if (OBJ_obj2nid(sk_ASN1_OBJECT_value(extended.get(), i)) == NID_OCSP_sign)
      return finding("e_eku_ocsp", "only a responder may sign OCSP answers");
  }
  return {};
}

}  // namespace

Status lint(const Profile& profile, const CertificateRequest& request, std::string_view tbs) {
  const auto view = parse_tbs(tbs);
  if (!view || encode(*view) != tbs) return finding("e_not_der", "the certificate is not encoded in DER");
  constexpr std::int64_t kV3 = 2;  // RFC 5280 section 4.1.2.1: what has extensions
  std::int64_t version = 0;
  if (view->version == nullptr || ASN1_INTEGER_get_int64(&version, view->version) != 1 || version != kV3)
    return finding("e_version", "a certificate with extensions is of version 3");
  EC_ASSIGN(const auto facts, facts_of(*view));
  if (request.serial.size() != 16 || facts.serial != request.serial || view->serial->type != V_ASN1_INTEGER) {
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
  return lint_extensions(profile, *view, facts);
}

}  // namespace evercert::pki
