// SPDX-License-Identifier: Apache-2.0
#include "pki/csr.h"

#include <arpa/inet.h>

#include <algorithm>

#include "pki/asn1_views.h"
#include "pki/names_openssl.h"
#include "pki/openssl.h"
#include "pki/pem.h"

namespace evercert::pki {
namespace {

Result<std::string> common_name(const X509_NAME* subject) {
  const int index = X509_NAME_get_index_by_NID(const_cast<X509_NAME*>(subject), NID_commonName, -1);
  if (index < 0) return std::string{};
  if (X509_NAME_get_index_by_NID(const_cast<X509_NAME*>(subject), NID_commonName, index) >= 0) {
    return fail(Code::kInvalid, "the CSR has more than one common name: leave one");
  }
  const ASN1_STRING* data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index));
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, data);
  if (length < 0) return fail(Code::kInvalid, "the CSR's common name is not text");
  std::string out(reinterpret_cast<char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  if (out.find('\0') != std::string::npos) return fail(Code::kInvalid, "the CSR's common name holds a NUL character");
  return out;
}

using Extensions = Owned<STACK_OF(X509_EXTENSION),
                         [](STACK_OF(X509_EXTENSION) * s) { sk_X509_EXTENSION_pop_free(s, X509_EXTENSION_free); }>;

// RFC 2985 section 5.4.2: the attribute extensionRequest, once. Null: the request asks for none.
Result<Extensions> requested_extensions(const RequestView& info) {
  const int index = X509at_get_attr_by_NID(info.attributes, NID_ext_req, -1);
  if (index < 0) return Extensions{};
  X509_ATTRIBUTE* attribute = X509at_get_attr(info.attributes, index);
  const ASN1_TYPE* value = X509_ATTRIBUTE_count(attribute) == 1 ? X509_ATTRIBUTE_get0_type(attribute, 0) : nullptr;
  if (value == nullptr || X509at_get_attr_by_NID(info.attributes, NID_ext_req, index) >= 0)
    return fail(Code::kInvalid, "the CSR's extension request must have one value: make a new CSR");
  const std::string_view der = sequence(value);
  const unsigned char* at = bytes(der);
  Extensions extensions(d2i_X509_EXTENSIONS(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!extensions) return fail(Code::kInvalid, "the CSR's requested extensions do not parse");
  return extensions;
}

Result<std::vector<Name>> requested_names(const RequestView& info) {
  EC_ASSIGN(const auto extensions, requested_extensions(info));
  if (!extensions) return std::vector<Name>{};
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions.get()); ++i) {
    X509_EXTENSION* asked = sk_X509_EXTENSION_value(extensions.get(), i);
    if (X509_EXTENSION_get_critical(asked) && X509_supported_extension(asked) == 0) {
      return fail(Code::kInvalid, "the CSR asks for a critical extension that is not known: leave it out");
    }
  }
  if (X509v3_get_ext_by_NID(extensions.get(), NID_subject_alt_name, -1) < 0) return std::vector<Name>{};
  const auto names = extension<GeneralNamesPtr>(extensions.get(), NID_subject_alt_name);
  if (!names) return fail(Code::kInvalid, "the CSR's subject alternative name does not parse");
  return from_general_names(names.get());
}

}  // namespace

Result<Csr> parse_csr(std::string_view der) {
  if (der.size() > kMaxCsrBytes) return fail(Code::kInvalid, "the CSR is larger than 64 KiB");
  const auto request = parse_signed(der);
  const auto info = request ? parse_request(sequence(request->body)) : nullptr;
  if (!info) return fail(Code::kInvalid, "the CSR does not parse: send one PKCS #10 request");
  EC_ASSIGN(auto key, PublicKey::from_spki(sequence(info->spki)));
  if (!key.verify_item(request->algorithm, request->signature, sequence(request->body)))
    return fail(Code::kInvalid, "the CSR's signature is wrong: it must be made with the key in it");
  EC_ASSIGN(auto names, requested_names(*info));
  EC_ASSIGN(auto cn, common_name(info->subject));
  for (const Name& name : names) EC_TRY(check_name(name));
  const Name from_cn = name_from_text(cn);
  if (!cn.empty() && check_name(from_cn)) names.push_back(from_cn);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.size() > kMaxNames) return fail(Code::kInvalid, "the CSR asks for more than 100 names");
  return Csr{std::move(key), std::move(names), std::move(cn)};
}

Result<Csr> parse_csr_pem(std::string_view pem) {
  if (pem.size() > 2 * kMaxCsrBytes) return fail(Code::kInvalid, "the CSR is larger than 64 KiB");
  EC_ASSIGN(const auto blocks, from_pem("CERTIFICATE REQUEST", pem));
  if (blocks.size() != 1) return fail(Code::kInvalid, "send one CSR at a time");
  return parse_csr(blocks.front());
}

}  // namespace evercert::pki
