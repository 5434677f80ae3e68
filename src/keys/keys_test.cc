// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/os/system.h"
#include "keys/pkcs11.h"
#include "keys/software_signer.h"

namespace evercert::keys {
namespace {

constexpr const char* kModule = "/usr/lib/softhsm/libsofthsm2.so";

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

TEST(Pkcs11, AKeyMadeInATokenSignsAndStaysThereAcrossReopening) {
  const auto dir = std::filesystem::temp_directory_path() / ("hsm" + std::to_string(os::secure_random().next()));
  std::filesystem::create_directories(dir / "tokens");
  std::ofstream(dir / "softhsm2.conf") << "directories.tokendir = " << (dir / "tokens").string()
                                       << "\nlog.level = ERROR\n";
  setenv("SOFTHSM2_CONF", (dir / "softhsm2.conf").c_str(), 1);
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
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace evercert::keys
