// SPDX-License-Identifier: Apache-2.0
#include "pki/csr.h"

#include <arpa/inet.h>

#include <algorithm>

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

Result<std::vector<Name>> requested_names(X509_REQ* request) {
  using Extensions = Owned<STACK_OF(X509_EXTENSION),
                           [](STACK_OF(X509_EXTENSION) * s) { sk_X509_EXTENSION_pop_free(s, X509_EXTENSION_free); }>;
  const Extensions extensions(X509_REQ_get_extensions(request));
  ERR_clear_error();
  if (!extensions) return std::vector<Name>{};
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions.get()); ++i) {
    X509_EXTENSION* extension = sk_X509_EXTENSION_value(extensions.get(), i);
    if (X509_EXTENSION_get_critical(extension) && X509_supported_extension(extension) == 0) {
      return fail(Code::kInvalid, "the CSR asks for a critical extension that is not known: leave it out");
    }
  }
  int critical = 0;
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, &critical, nullptr)));
  if (!names) {
    if (critical == -1) return std::vector<Name>{};
    return fail(Code::kInvalid, "the CSR's subject alternative name does not parse");
  }
  return from_general_names(names.get());
}

}  // namespace

Result<Csr> parse_csr(std::string_view der) {
  if (der.size() > kMaxCsrBytes) return fail(Code::kInvalid, "the CSR is larger than 64 KiB");
  const unsigned char* at = bytes(der);
  const ReqPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  if (!request || at != bytes(der) + der.size()) {
    ERR_clear_error();
    return fail(Code::kInvalid, "the CSR does not parse: send one PKCS #10 request");
  }
  const std::string spki = to_der(X509_REQ_get_X509_PUBKEY(request.get()), i2d_X509_PUBKEY);
  EC_ASSIGN(auto key, PublicKey::from_spki(spki));
  const bool signed_by_key = X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) == 1;
  ERR_clear_error();
  if (!signed_by_key) return fail(Code::kInvalid, "the CSR's signature is wrong: it must be made with the key in it");
  EC_ASSIGN(auto names, requested_names(request.get()));
  EC_ASSIGN(auto cn, common_name(X509_REQ_get_subject_name(request.get())));
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
