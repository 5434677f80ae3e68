// SPDX-License-Identifier: Apache-2.0
// The certificate is read by x509-cert, which has nothing in common with what encoded it (der.h and OpenSSL): a mistake
// of the one is not made again by the other, as it might be if the same library looked at its own work.
#include "pki/lint.h"

#include <algorithm>

#include "pki/bridge.h"
#include "pki/names_openssl.h"

namespace evercert::pki {
namespace {

Status finding(const char* name, std::string what) {
  return fail(Code::kInvalid, std::string("lint ") + name + ": " + std::move(what));
}

Status lint_extensions(const Profile& profile, const bridge::Tbs& tbs) {
  if (tbs.extension_twice) return finding("e_extension_twice", "RFC 5280 section 4.2 allows each extension once");
  const bool ca = profile.usage == Usage::kIssuingCa;
  if (!tbs.has_basic_constraints || tbs.is_ca != ca)
    return finding("e_basic_constraints", "CA flag does not fit the profile");
  if (!tbs.has_key_usage) return finding("e_key_usage_missing", "there is no key usage");
  if (!ca && tbs.may_sign_certificates_or_crls)
    return finding("e_key_usage_ca_bits", "a leaf may not sign certificates");
  if (tbs.subject_key_id.empty()) return finding("e_ski_missing", "no subject key identifier");
  if (tbs.authority_key_id.empty()) return finding("e_aki_missing", "no authority key identifier");
  if (tbs.has_tls_feature != profile.must_staple || tbs.must_staple != profile.must_staple)
    return finding("e_tls_feature", "the TLS feature (RFC 7633) is not what the profile asks for");
  if (ca) return {};
  if (!tbs.has_extended_key_usage) return finding("e_eku_missing", "there is no extended key usage");
  if (profile.usage != Usage::kOcspResponder && tbs.may_sign_ocsp)
    return finding("e_eku_ocsp", "only a responder may sign OCSP answers");
  return {};
}

Result<std::vector<Name>> names_of(const bridge::Tbs& tbs) {
  if (tbs.names.size() > kMaxNames) return fail(Code::kInvalid, "more than 100 names");
  std::vector<Name> out;
  for (const bridge::AlternativeName& one : tbs.names) {
    EC_ASSIGN(auto name, name_from_octets(one.kind, text(one.value)));
    out.push_back(std::move(name));
  }
  return out;
}

}  // namespace

Status lint(const Profile& profile, const CertificateRequest& request, std::string_view tbs) {
  const bridge::Tbs facts = bridge::read_tbs(octets(tbs));
  if (!facts.is_der) return finding("e_not_der", "the certificate is not encoded in DER");
  constexpr int kV3 = 2;  // RFC 5280 section 4.1.2.1: what has extensions
  if (facts.version != kV3) return finding("e_version", "a certificate with extensions is of version 3");
  EC_ASSIGN(auto encoded, names_of(facts));
  if (request.serial.size() != 16 || text(facts.serial) != request.serial || facts.serial_negative) {
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
  const std::string_view common_name = text(facts.common_name);
  if (common_name != request.common_name || facts.subject_attributes != (common_name.empty() ? 0 : 1))
    return finding("e_subject_differs", "the subject is not the common name that was asked for");
  if (common_name.size() > 64) return finding("e_cn_too_long", "more than 64 characters (RFC 5280 appendix A)");
  if (leaf && !common_name.empty() &&
      std::none_of(names.begin(), names.end(), [&](const Name& n) { return n.value == common_name; })) {
    return finding("e_cn_not_in_san", "the common name is not among the names");
  }
  if (text(facts.spki) != request.key->spki_der()) return finding("e_spki_differs", "another public key was encoded");
  return lint_extensions(profile, facts);
}

}  // namespace evercert::pki
