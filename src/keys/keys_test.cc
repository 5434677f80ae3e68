// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>

#include "base/os/system.h"
#include "keys/pkcs11.h"
#include "keys/softhsm_test.h"
#include "keys/software_signer.h"
#include "pki/openssl.h"

namespace evercert::keys {
namespace {

TEST(SoftwareSigner, SignaturesOfEveryKindOfKeyVerify) {
  for (const auto kind : {pki::KeyKind::kP256, pki::KeyKind::kP384, pki::KeyKind::kRsa, pki::KeyKind::kEd25519}) {
    const auto signer = software_signer(generate_key_pem(kind).value()).value();
    const auto key = pki::PublicKey::from_spki(signer->spki_der()).value();
    const auto signature = signer->sign("data").value();
    EXPECT_TRUE(key.verify_x509("data", signature));
    EXPECT_FALSE(key.verify_x509("other", signature));
  }
  EXPECT_FALSE(software_signer("no key").has_value());
}

// One library loads the keys, another signs and checks.
TEST(SoftwareSigner, OpenSslAgreesAboutEcdsaHoweverThePointOfAKeyIsWritten) {
  for (const bool small : {true, false}) {
    for (const char* form : {"uncompressed", "compressed"}) {
      const pki::PkeyPtr key(EVP_EC_gen(small ? "P-256" : "P-384"));
      ASSERT_EQ(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form), 1);
      const pki::BioPtr out(BIO_new(BIO_s_mem()));
      PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
      char* text = nullptr;
      const long length = BIO_get_mem_data(out.get(), &text);
      const auto signer = software_signer(std::string(text, static_cast<std::size_t>(length)));
      ASSERT_TRUE(signer.has_value()) << signer.error().message;
      const auto signature = (*signer)->sign("data").value();
      const EVP_MD* hash = small ? EVP_sha256() : EVP_sha384();
      const pki::MdCtxPtr check(EVP_MD_CTX_new()), sign(EVP_MD_CTX_new());
      ASSERT_EQ(EVP_DigestVerifyInit(check.get(), nullptr, hash, nullptr, key.get()), 1);
      EXPECT_EQ(EVP_DigestVerify(check.get(), pki::bytes(signature), signature.size(), pki::bytes("data"), 4), 1)
          << form;
      ASSERT_EQ(EVP_DigestSignInit(sign.get(), nullptr, hash, nullptr, key.get()), 1);
      std::string by_openssl(150, '\0');
      std::size_t size = by_openssl.size();
      ASSERT_EQ(
          EVP_DigestSign(sign.get(), reinterpret_cast<unsigned char*>(by_openssl.data()), &size, pki::bytes("data"), 4),
          1);
      by_openssl.resize(size);
      const auto public_key = pki::PublicKey::from_spki((*signer)->spki_der()).value();
      EXPECT_TRUE(public_key.verify_x509("data", by_openssl)) << form;
      EXPECT_FALSE(public_key.verify_x509("other", by_openssl)) << form;
    }
  }
}

TEST(Pkcs11, AKeyMadeInATokenSignsAndStaysThereAcrossReopening) {
  use_softhsm_of_tests();
  const auto created = create_token(kModule, "region-1", "1234");
  ASSERT_TRUE(created.has_value()) << created.error().message;
  EXPECT_EQ(create_token(kModule, "region-1", "1234").error().code, Code::kConflict);
  EXPECT_EQ(open_token(kModule, "region-2", "1234").error().code, Code::kNotFound);
  {
    const auto token = open_token(kModule, "region-1", "1234").value();
    for (const auto kind : {pki::KeyKind::kP256, pki::KeyKind::kP384, pki::KeyKind::kRsa}) {
      const std::string label = "key" + std::to_string(static_cast<int>(kind));
      const auto made = token->generate(label, kind);
      ASSERT_TRUE(made.has_value()) << made.error().message;
      EXPECT_EQ(token->generate(label, kind).error().code, Code::kConflict);
      const auto signer = token->signer(label);
      ASSERT_TRUE(signer.has_value()) << signer.error().message;
      const auto key = pki::PublicKey::from_spki((*signer)->spki_der()).value();
      EXPECT_TRUE(key.verify_x509("data", (*signer)->sign("data").value()));
    }
    EXPECT_EQ(token->signer("other").error().code, Code::kNotFound);
  }
  const auto again = open_token(kModule, "region-1", "1234").value();
  EXPECT_TRUE(again->signer("key0").has_value());
}

}  // namespace
}  // namespace evercert::keys
