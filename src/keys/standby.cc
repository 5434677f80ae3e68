// SPDX-License-Identifier: Apache-2.0
#include "keys/standby.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "keys/software_signer.h"
#include "pki/openssl.h"

namespace evercert::keys {
namespace {

using CipherCtx = pki::Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

// RFC 5649, one way or the other. Empty: it does not fit.
std::string key_wrap(const std::string& in, const std::string& wrapping_key, bool wrap) {
  const CipherCtx ctx(EVP_CIPHER_CTX_new());
  EVP_CIPHER_CTX_set_flags(ctx.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  std::string out(in.size() + 16, '\0');
  int size = 0;
  const bool done = EVP_CipherInit_ex(ctx.get(), EVP_aes_256_wrap_pad(), nullptr, pki::bytes(wrapping_key), nullptr,
                                      wrap ? 1 : 0) == 1 &&
                    EVP_CipherUpdate(ctx.get(), reinterpret_cast<unsigned char*>(out.data()), &size, pki::bytes(in),
                                     static_cast<int>(in.size())) == 1;
  ERR_clear_error();
  out.resize(done && size > 0 ? static_cast<std::size_t>(size) : 0);
  return out;
}

Status check(const std::string& wrapping_key) {
  if (wrapping_key.size() == kWrappingKeyBytes) return {};
  return fail(Code::kInvalid, "a wrapping key has " + std::to_string(kWrappingKeyBytes) + " bytes");
}

}  // namespace

Result<std::string> wrap_key(const std::string& private_key_pem, const std::string& wrapping_key) {
  EC_TRY(check(wrapping_key));
  const pki::BioPtr in(BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())));
  const pki::PkeyPtr key(PEM_read_bio_PrivateKey(
      in.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  const pki::Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> form(key ? EVP_PKEY2PKCS8(key.get()) : nullptr);
  if (!form) return fail(Code::kInvalid, "no usable private key: " + pki::last_openssl_error());
  std::string der = pki::to_der(form.get(), i2d_PKCS8_PRIV_KEY_INFO);
  std::string wrapped = key_wrap(der, wrapping_key, true);
  OPENSSL_cleanse(der.data(), der.size());
  if (wrapped.empty()) return fail(Code::kInternal, "the key is not wrapped");
  return wrapped;
}

Result<std::shared_ptr<const pki::CrlSigner>> open_standby(const std::string& wrapped,
                                                           const std::string& wrapping_key) {
  EC_TRY(check(wrapping_key));
  std::string der = key_wrap(wrapped, wrapping_key, false);
  if (der.empty()) return fail(Code::kDenied, "the standby does not open: another wrapping key, or it was changed");
  const unsigned char* at = pki::bytes(der);
  const pki::PkeyPtr key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
  OPENSSL_cleanse(der.data(), der.size());
  const pki::BioPtr out(BIO_new(BIO_s_mem()));
  if (!key || PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return fail(Code::kInvalid, "the standby holds no usable private key: " + pki::last_openssl_error());
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  std::string pem(text, static_cast<std::size_t>(length));
  auto signer = software_signer(pem);
  OPENSSL_cleanse(pem.data(), pem.size());
  OPENSSL_cleanse(text, static_cast<std::size_t>(length));
  if (!signer) return fail(std::move(signer).error());
  return pki::crl_signer(std::move(*signer));
}

}  // namespace evercert::keys
