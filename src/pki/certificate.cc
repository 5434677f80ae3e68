// SPDX-License-Identifier: Apache-2.0
#include "pki/certificate.h"

#include "pki/der.h"
#include "pki/lint.h"
#include "pki/names_openssl.h"
#include "pki/openssl.h"

namespace evercert::pki {
namespace {

constexpr std::size_t kKeyIdBytes = 20;

// An extension in the notation of OpenSSL's configuration (slow: prepared once per kind of certificate).
std::string configured(int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  const ExtPtr extension(X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str()));
  return extension ? to_der(extension.get(), i2d_X509_EXTENSION) : std::string{};
}

std::string encoded(int nid, bool critical, void* value) {
  const ExtPtr extension(X509V3_EXT_i2d(nid, critical ? 1 : 0, value));
  return to_der(extension.get(), i2d_X509_EXTENSION);
}

std::string octet_extension(int nid, std::string_view bytes_) {
  const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> octets(ASN1_OCTET_STRING_new());
  ASN1_OCTET_STRING_set(octets.get(), bytes(bytes_), static_cast<int>(bytes_.size()));
  return encoded(nid, false, octets.get());
}

std::string authority_extension(std::string_view key_id) {
  const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority(AUTHORITY_KEYID_new());
  authority->keyid = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(authority->keyid, bytes(key_id), static_cast<int>(key_id.size()));
  return encoded(NID_authority_key_identifier, false, authority.get());
}

GENERAL_NAME* uri_name(const std::string& url) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  ASN1_STRING_set(text, url.data(), static_cast<int>(url.size()));
  GENERAL_NAME_set0_value(name, GEN_URI, text);
  return name;
}

// RFC 5280 section 4.2.2.1. Clients try the descriptions in order.
std::string access_extension(const std::vector<std::string>& ocsp, const std::vector<std::string>& ca_issuers) {
  const Owned<AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free> access(AUTHORITY_INFO_ACCESS_new());
  const auto describe = [&](int method, const std::string& url) {
    ACCESS_DESCRIPTION* one = ACCESS_DESCRIPTION_new();
    ASN1_OBJECT_free(one->method);
    one->method = OBJ_nid2obj(method);
    GENERAL_NAME_free(one->location);
    one->location = uri_name(url);
    sk_ACCESS_DESCRIPTION_push(access.get(), one);
  };
  for (const auto& url : ocsp) describe(NID_ad_OCSP, url);
  for (const auto& url : ca_issuers) describe(NID_ad_ca_issuers, url);
  return encoded(NID_info_access, false, access.get());
}

// RFC 5280 section 4.2.1.13: the names of one point are places of one list; points of their own would be parts of it.
std::string crl_extension(const std::vector<std::string>& urls) {
  const Owned<CRL_DIST_POINTS, CRL_DIST_POINTS_free> points(CRL_DIST_POINTS_new());
  DIST_POINT* point = DIST_POINT_new();
  point->distpoint = DIST_POINT_NAME_new();
  point->distpoint->type = 0;  // fullName
  point->distpoint->name.fullname = GENERAL_NAMES_new();
  for (const auto& url : urls) sk_GENERAL_NAME_push(point->distpoint->name.fullname, uri_name(url));
  sk_DIST_POINT_push(points.get(), point);
  return encoded(NID_crl_distribution_points, false, points.get());
}

// RFC 5280 section 4.1.2.4: no name, or a common name alone.
std::string name_der(std::string_view common_name) {
  static constexpr std::string_view kCommonName = "\x06\x03\x55\x04\x03";  // 2.5.4.3
  if (common_name.empty()) return der::wrap(der::kSequence, {});
  const std::string pair = std::string(kCommonName) + der::wrap(der::kUtf8String, common_name);
  return der::wrap(der::kSequence, der::wrap(der::kSet, der::wrap(der::kSequence, pair)));
}

// RFC 5280 section 4.2.1.6. The lint reads it back and compares.
Result<std::string> alternative_names(const std::vector<Name>& names, bool critical) {
  static constexpr std::string_view kOid = "\x06\x03\x55\x1d\x11";  // 2.5.29.17
  static constexpr std::string_view kCritical = "\x01\x01\xff";
  std::string all;
  for (const Name& name : names) {
    EC_ASSIGN(const auto one, general_name_der(name));
    all += one;
  }
  std::string extension(kOid);
  if (critical) extension += kCritical;
  extension += der::wrap(der::kOctetString, der::wrap(der::kSequence, all));
  return der::wrap(der::kSequence, extension);
}

struct Parts {
  std::string_view serial, algorithm, issuer, subject, spki;
  std::int64_t not_before = 0, not_after = 0;
  std::vector<std::string_view> extensions = {};
};

// RFC 5280 section 4.1: version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, extensions.
std::string tbs_certificate(const Parts& parts) {
  static const std::string version = der::wrap(der::context(0), der::integer("\x02"));
  std::size_t size = 0;
  for (const auto extension : parts.extensions) size += extension.size();
  std::string list;
  der::begin(list, der::kSequence, size);
  std::string content;
  constexpr std::size_t kFrames = 96;  // version, serial number, dates, headers
  content.reserve(kFrames + parts.algorithm.size() + parts.issuer.size() + parts.subject.size() + parts.spki.size() +
                  size);
  content += version;
  content += der::integer(parts.serial);
  content += parts.algorithm;
  content += parts.issuer;
  content += der::wrap(der::kSequence, der::time(parts.not_before) + der::time(parts.not_after));
  content += parts.subject;
  content += parts.spki;
  der::begin(content, der::context(3), list.size() + size);
  content += list;
  for (const auto extension : parts.extensions) content += extension;
  return der::wrap(der::kSequence, content);
}

Result<std::string> signed_with(const Signer& signer, std::string_view tbs) {
  EC_ASSIGN(const auto signature, signer.sign(tbs));
  const std::string bits = der::bit_string(signature);
  const std::string& algorithm = signer.algorithm_der();
  const std::size_t size = tbs.size() + algorithm.size() + bits.size();
  std::string out;
  constexpr std::size_t kHeader = 8;
  out.reserve(size + kHeader);
  der::begin(out, der::kSequence, size);
  return out.append(tbs).append(algorithm).append(bits);
}

std::string key_usage(Usage usage, KeyKind kind) {
  switch (usage) {
    case Usage::kIssuingCa: return "critical,keyCertSign,cRLSign,digitalSignature";
    case Usage::kOcspResponder: return "critical,digitalSignature";
    // RSA server keys may still be asked for key transport by TLS 1.2 clients (RFC 5246 section 7.4.2).
    default:
      return kind == KeyKind::kRsa && usage != Usage::kClient ? "critical,digitalSignature,keyEncipherment"
                                                              : "critical,digitalSignature";
  }
}

std::string extended_key_usage(Usage usage) {
  switch (usage) {
    case Usage::kServer: return "serverAuth";
    case Usage::kClient: return "clientAuth";
    case Usage::kBoth: return "serverAuth,clientAuth";
    case Usage::kOcspResponder: return "OCSPSigning";
    case Usage::kIssuingCa: return "";
  }
  return "";
}

}  // namespace

Result<std::unique_ptr<CertificateFactory>> CertificateFactory::create(Issuer issuer, std::shared_ptr<Signer> signer) {
  EC_ASSIGN(const auto facts, read_certificate(issuer.certificate_der));
  if (facts.spki_der != signer->spki_der()) {
    return fail(Code::kInvalid, "the issuer's certificate and the signing key do not belong together");
  }
  std::unique_ptr<CertificateFactory> factory(new CertificateFactory);
  factory->issuer_name_der_ = facts.subject_name_der;
  factory->authority_key_id_ = authority_extension(facts.subject_key_id);
  factory->issuer_ = std::move(issuer);
  factory->signer_ = std::move(signer);
  for (const Usage usage : {Usage::kServer, Usage::kClient, Usage::kBoth, Usage::kIssuingCa, Usage::kOcspResponder}) {
    for (const KeyKind kind : {KeyKind::kP256, KeyKind::kP384, KeyKind::kRsa, KeyKind::kEd25519})
      factory->fixed_[{usage, kind}] = factory->fixed_extensions(usage, kind);
  }
  return factory;
}

std::string CertificateFactory::fixed_extensions(Usage usage, KeyKind kind) const {
  const bool ca = usage == Usage::kIssuingCa;
  std::string all = configured(NID_basic_constraints, ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
  all += configured(NID_key_usage, key_usage(usage, kind));
  if (const auto eku = extended_key_usage(usage); !eku.empty()) all += configured(NID_ext_key_usage, eku);
  all += authority_key_id_;
  if (usage == Usage::kOcspResponder) {
    // RFC 6960 section 4.2.2.2.1: nobody asks about the responder's own status; its life is short instead.
    all += configured(NID_id_pkix_OCSP_noCheck, "ignored");
  } else {
    if (!issuer_.ocsp_urls.empty() || !issuer_.ca_issuers_urls.empty())
      all += access_extension(issuer_.ocsp_urls, issuer_.ca_issuers_urls);
    if (!issuer_.crl_urls.empty()) all += crl_extension(issuer_.crl_urls);
  }
  return all;
}

Result<LintedTbs> CertificateFactory::prepare(const Profile& profile, const CertificateRequest& request) const {
  const std::string subject = name_der(request.common_name);
  const std::string key_id = request.key->key_identifier();
  Parts parts{request.serial,          signer_->algorithm_der(), issuer_name_der_, subject,
              request.key->spki_der(), request.not_before,       request.not_after};
  // All but the octets themselves is the same for every key.
  static const std::string before_key_id = [] {
    std::string whole = octet_extension(NID_subject_key_identifier, std::string(kKeyIdBytes, '\0'));
    whole.resize(whole.size() - kKeyIdBytes);
    return whole;
  }();
  parts.extensions = {fixed_.at({profile.usage, request.key->kind()}), before_key_id, key_id};
  static const std::string status_request = configured(NID_tlsfeature, "status_request");
  if (profile.must_staple) parts.extensions.push_back(status_request);
  std::string names;
  if (!request.names.empty()) {
    EC_ASSIGN(names, alternative_names(request.names, request.common_name.empty()));
    parts.extensions.push_back(names);
  }
  std::string tbs = tbs_certificate(parts);
  EC_TRY(lint(profile, request, tbs));
  return LintedTbs(std::move(tbs));
}

Result<std::string> CertificateFactory::sign(LintedTbs tbs) const { return signed_with(*signer_, tbs.tbs()); }

Status CertificateFactory::try_key(std::int64_t now) const {
  const std::string text = std::string(kSelfCheck) + std::to_string(now);
  EC_ASSIGN(const auto signature, signer_->sign(text));
  // Of the certificate, not of the signer: who relies on what is issued has nothing else.
  EC_ASSIGN(const auto facts, read_certificate(issuer_.certificate_der));
  EC_ASSIGN(const auto key, PublicKey::from_spki(facts.spki_der));
  if (!key.verify_x509(text, signature))
    return fail(Code::kUnavailable, "the issuing key signs, and its certificate's public key refuses the signature");
  return {};
}

Result<std::string> make_root(std::string_view common_name, const std::string& serial, std::int64_t now,
                              const Signer& signer) {
  EC_ASSIGN(const auto key, PublicKey::from_spki(signer.spki_der()));
  const std::string name = name_der(common_name);
  const std::string extensions = configured(NID_basic_constraints, "critical,CA:TRUE") +
                                 configured(NID_key_usage, "critical,keyCertSign,cRLSign") +
                                 octet_extension(NID_subject_key_identifier, key.key_identifier());
  constexpr std::int64_t kLife = 20ll * 365 * 86400;
  return signed_with(signer, tbs_certificate({serial,
                                              signer.algorithm_der(),
                                              name,
                                              name,
                                              signer.spki_der(),
                                              now - kBackdateSeconds,
                                              now + kLife,
                                              {extensions}}));
}

}  // namespace evercert::pki
