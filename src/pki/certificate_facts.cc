// SPDX-License-Identifier: Apache-2.0
// Reading certificates and chains.
#include <ctime>

#include "pki/asn1_views.h"
#include "pki/certificate.h"
#include "pki/names_openssl.h"
#include "pki/openssl.h"

namespace evercert::pki {
namespace {

constexpr long kStatusRequest = 5;  // RFC 6066 section 8

X509Ptr parse(std::string_view der) {
  const unsigned char* at = bytes(der);
  return X509Ptr(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
}

// kInvalid when its names do not parse.
Result<CertificateFacts> facts_of(const TbsView& tbs) {
  CertificateFacts facts;
  facts.serial = contents(tbs.serial);
  facts.issuer_name_der = to_der(tbs.issuer, i2d_X509_NAME);
  facts.subject_name_der = to_der(tbs.subject, i2d_X509_NAME);
  char cn[256] = {};
  const int length = X509_NAME_get_text_by_NID(tbs.subject, NID_commonName, cn, sizeof cn);
  if (length > 0) facts.subject_cn.assign(cn, static_cast<std::size_t>(length));
  facts.not_before = seconds_of(tbs.validity->notBefore);
  facts.not_after = seconds_of(tbs.validity->notAfter);
  if (const auto names = extension<GeneralNamesPtr>(tbs.extensions, NID_subject_alt_name)) {
    EC_ASSIGN(facts.names, from_general_names(names.get()));
  }
  facts.spki_der = sequence(tbs.spki);
  if (const auto id = extension<OctetsPtr>(tbs.extensions, NID_subject_key_identifier))
    facts.subject_key_id = contents(id.get());
  const auto authority = extension<AuthorityPtr>(tbs.extensions, NID_authority_key_identifier);
  if (authority && authority->keyid != nullptr) facts.authority_key_id = contents(authority->keyid);
  const auto constraints = extension<BasicConstraintsPtr>(tbs.extensions, NID_basic_constraints);
  facts.is_ca = constraints && constraints->ca != 0;
  const auto features = extension<Owned<TLS_FEATURE, TLS_FEATURE_free>>(tbs.extensions, NID_tlsfeature);
  for (int i = 0; features && i < sk_ASN1_INTEGER_num(features.get()); ++i) {
    if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features.get(), i)) == kStatusRequest) facts.must_staple = true;
  }
  return facts;
}

}  // namespace

Result<CertificateFacts> read_certificate(std::string_view der) {
  const auto whole = parse_signed(der);
  const auto tbs = whole ? parse_tbs(sequence(whole->body)) : nullptr;
  if (!tbs) return fail(Code::kInvalid, "the certificate does not parse");
  return facts_of(*tbs);
}

Status verify_chain(std::string_view leaf, const std::vector<std::string>& intermediates, std::string_view root,
                    std::int64_t now) {
  const Owned<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  const X509Ptr trusted = parse(root);
  const X509Ptr subject = parse(leaf);
  if (!trusted || !subject) return fail(Code::kInvalid, "a certificate of the chain does not parse");
  X509_STORE_add_cert(store.get(), trusted.get());
  using Stack = Owned<STACK_OF(X509), [](STACK_OF(X509) * s) { sk_X509_pop_free(s, X509_free); }>;
  const Stack middle(sk_X509_new_null());
  for (const auto& der : intermediates) {
    X509Ptr one = parse(der);
    if (!one) return fail(Code::kInvalid, "a certificate of the chain does not parse");
    sk_X509_push(middle.get(), one.release());
  }
  const Owned<X509_STORE_CTX, X509_STORE_CTX_free> ctx(X509_STORE_CTX_new());
  X509_STORE_CTX_init(ctx.get(), store.get(), subject.get(), middle.get());
  X509_STORE_CTX_set_time(ctx.get(), 0, now);
  X509_STORE_CTX_set_flags(ctx.get(), X509_V_FLAG_X509_STRICT);
  if (X509_verify_cert(ctx.get()) == 1) return {};
  return fail(Code::kInvalid, std::string("the chain does not verify: ") +
                                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx.get())));
}

}  // namespace evercert::pki
