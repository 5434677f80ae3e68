// SPDX-License-Identifier: Apache-2.0
// A certification request as a stranger sends it.
#include <algorithm>

#include "base/check.h"
#include "fuzz/input.h"
#include "pki/csr.h"
#include "pki/openssl.h"

namespace evercert {
namespace {

// What passes is a request to OpenSSL too, signed with the key that we found in it.
void agree(const pki::Csr& csr, std::string_view der) {
  const unsigned char* at = pki::bytes(der);
  const pki::ReqPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  EC_CHECK(request && at == pki::bytes(der) + der.size(), "OpenSSL reads it");
  EC_CHECK(X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) == 1, "and finds it rightly signed");
  EC_CHECK(pki::to_der(X509_REQ_get_X509_PUBKEY(request.get()), i2d_X509_PUBKEY) == csr.key.spki_der(), "by that key");
}

void check(const Result<pki::Csr>& csr) {
  if (!csr) {
    EC_CHECK(csr.error().code == Code::kInvalid || csr.error().code == Code::kUnsupported, "the client's fault");
    return;
  }
  EC_CHECK(std::is_sorted(csr->names.begin(), csr->names.end()), "names are sorted");
  EC_CHECK(std::adjacent_find(csr->names.begin(), csr->names.end()) == csr->names.end(), "names are unique");
  for (const auto& name : csr->names) EC_CHECK(pki::check_name(name).has_value(), "names are sound");
  EC_CHECK(csr->common_name.find('\0') == std::string::npos, "no hidden end of the common name");
  EC_CHECK(!csr->key.spki_der().empty(), "there is a key");
}

// The same request with our key and a right signature: no mutation would get past that check by itself.
std::string signed_again(std::string_view der) {
  static const pki::PkeyPtr key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, pki::bytes("fuzzing fuzzing fuzzing fuzzing!"), 32));
  const unsigned char* at = pki::bytes(der);
  const pki::ReqPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!request || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), nullptr) <= 0) {
    ERR_clear_error();
    return {};
  }
  return pki::to_der(request.get(), i2d_X509_REQ);
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = evercert::fuzz::text(data, size);
  evercert::check(evercert::pki::parse_csr_pem(input));
  const auto csr = evercert::pki::parse_csr(input);
  evercert::check(csr);
  if (csr) evercert::agree(*csr, input);
  if (const auto again = evercert::signed_again(input); !again.empty()) {
    const auto signed_csr = evercert::pki::parse_csr(again);
    evercert::check(signed_csr);
    if (signed_csr) evercert::agree(*signed_csr, again);
  }
  return 0;
}
