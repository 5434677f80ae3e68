// SPDX-License-Identifier: Apache-2.0
// Requests, certificates and public keys taken apart by OpenSSL's ASN.1 templates, with the key left as it is encoded:
// OpenSSL 3.0 looks for a decoder at each one, which takes longer than two signatures. For .cc files only.
#pragma once

#include <openssl/asn1t.h>

#include "pki/certificate.h"
#include "pki/openssl.h"

namespace evercert::pki {

using BasicConstraintsPtr = Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free>;
using OctetsPtr = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using AuthorityPtr = Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free>;

// RFC 5280 section 4.1.2.7
struct SpkiView {
  X509_ALGOR* algorithm;
  ASN1_BIT_STRING* bits;
};
// RFC 5280 section 4.1.2
struct TbsView {
  ASN1_INTEGER* version;
  ASN1_INTEGER* serial;
  X509_ALGOR* signature;
  X509_NAME* issuer;
  X509_VAL* validity;
  X509_NAME* subject;
  ASN1_TYPE* spki;  // a SEQUENCE, as encoded
  ASN1_BIT_STRING *issuer_id, *subject_id;
  STACK_OF(X509_EXTENSION) * extensions;
};
// SIGNED{} of certificates and requests: a SEQUENCE as encoded, which is what is signed, and the signature.
struct SignedView {
  ASN1_TYPE* body;
  X509_ALGOR* algorithm;
  ASN1_BIT_STRING* signature;
};
struct RequestView {
  ASN1_INTEGER* version;
  X509_NAME* subject;
  ASN1_TYPE* spki;
  STACK_OF(X509_ATTRIBUTE) * attributes;
};

void free_view(SpkiView* view);
void free_view(TbsView* view);
void free_view(SignedView* view);
void free_view(RequestView* view);
struct FreeView {
  template <class View>
  void operator()(View* view) const {
    free_view(view);
  }
};
template <class View>
using ViewPtr = std::unique_ptr<View, FreeView>;

// Null when `der` is anything but one whole encoding.
ViewPtr<SpkiView> parse_spki(std::string_view der);
ViewPtr<TbsView> parse_tbs(std::string_view der);
ViewPtr<SignedView> parse_signed(std::string_view der);
ViewPtr<RequestView> parse_request(std::string_view der);

// An extension's value; null when it is missing, there twice, or does not parse. X509V3_get_d2i does the same and looks
// the name of every extension up in OpenSSL's table at each call; this compares names.
template <class Ptr>
Ptr extension(const STACK_OF(X509_EXTENSION) * all, int nid) {
  const int at = X509v3_get_ext_by_NID(all, nid, -1);
  if (at < 0 || X509v3_get_ext_by_NID(all, nid, at) >= 0) return nullptr;
  Ptr found(static_cast<typename Ptr::pointer>(X509V3_EXT_d2i(X509v3_get_ext(all, at))));
  if (!found) ERR_clear_error();
  return found;
}
// The encoding that an ANY holds; empty when it is no SEQUENCE.
std::string_view sequence(const ASN1_TYPE* any);
std::string_view contents(const ASN1_STRING* text);

}  // namespace evercert::pki
