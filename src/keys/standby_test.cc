// SPDX-License-Identifier: Apache-2.0
// Standbys of issuing keys, in files and in tokens, and the shares that open them.
#include "keys/standby.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "base/os/system.h"
#include "keys/pkcs11.h"
#include "keys/shares.h"
#include "keys/softhsm_test.h"
#include "keys/software_signer.h"
#include "pki/certificate.h"
#include "pki/serial.h"

namespace evercert::keys {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;

// A standby can sign no certificate: what makes certificates does not take it, and there is no way from it to what
// does. It takes nothing but CRLs, which only make_crl makes.
using Standby = std::shared_ptr<const pki::CrlSigner>;
template <class Key>
constexpr bool kMakesCertificates = requires(Key key, pki::Issuer issuer) {
  pki::CertificateFactory::create(issuer, key);
};
template <class Key>
constexpr bool kSignsAnything = requires(Key key) {
  key->sign(std::string_view{});
};
static_assert(kMakesCertificates<std::shared_ptr<pki::Signer>> && kSignsAnything<std::shared_ptr<pki::Signer>>);
static_assert(!kMakesCertificates<Standby> && !kSignsAnything<Standby>);
static_assert(!std::is_convertible_v<const pki::CrlSigner*, const pki::Signer*>);
static_assert(!std::is_constructible_v<pki::UnsignedCrl, std::string>);
static_assert(!std::is_convertible_v<pki::LintedTbs, pki::UnsignedCrl>);

std::string wrapping_key(char fill) { return std::string(kWrappingKeyBytes, fill); }

std::string ca_certificate(const std::shared_ptr<pki::Signer>& signer) {
  return pki::make_root("CA", pki::make_serial(RegionId{1}, os::secure_random()), kNow, *signer).value();
}

bool signs_lists_of(const std::string& certificate, const pki::CrlSigner& key) {
  const auto der = pki::make_crl(certificate, key, 7, kNow, kNow + 1, {{"\x01serial", kNow, 1}});
  return der && pki::read_crl(*der, certificate).has_value();
}

TEST(Standby, OpenedItSignsListsThatTheCertificateOfItsKeyVerifies) {
  for (const auto kind : {pki::KeyKind::kP256, pki::KeyKind::kP384, pki::KeyKind::kRsa, pki::KeyKind::kEd25519}) {
    const std::string pem = generate_key_pem(kind).value();
    const auto certificate = ca_certificate(software_signer(pem).value());
    const auto wrapped = wrap_key(pem, wrapping_key('k')).value();
    const auto standby = open_standby(wrapped, wrapping_key('k'));
    ASSERT_TRUE(standby.has_value()) << standby.error().message;
    EXPECT_TRUE(signs_lists_of(certificate, **standby));
  }
}

TEST(Standby, AnotherWrappingKeyOrAChangedByteDoesNotOpenIt) {
  const std::string pem = generate_key_pem(pki::KeyKind::kP256).value();
  std::string wrapped = wrap_key(pem, wrapping_key('k')).value();
  EXPECT_EQ(wrapped.find(pem.substr(40, 20)), std::string::npos);
  EXPECT_EQ(open_standby(wrapped, wrapping_key('l')).error().code, Code::kDenied);
  EXPECT_EQ(open_standby(wrapped, "short").error().code, Code::kInvalid);
  EXPECT_EQ(open_standby("", wrapping_key('k')).error().code, Code::kDenied);
  for (std::size_t i = 0; i < wrapped.size(); i += 7) {
    wrapped[i] ^= 1;
    EXPECT_EQ(open_standby(wrapped, wrapping_key('k')).error().code, Code::kDenied);
    wrapped[i] ^= 1;
  }
  EXPECT_EQ(wrap_key("no key", wrapping_key('k')).error().code, Code::kInvalid);
}

TEST(Shares, AnyThresholdOfThemGivesTheSecretBackAndFewerDoNot) {
  const std::string secret = os::secure_random().bytes(kWrappingKeyBytes);
  for (std::uint8_t count = 1; count <= 6; ++count) {
    for (std::uint8_t threshold = 1; threshold <= count; ++threshold) {
      const auto shares = split(secret, threshold, count).value();
      ASSERT_EQ(shares.size(), count);
      for (unsigned chosen = 1; chosen < 1u << count; ++chosen) {
        std::vector<Share> some;
        for (unsigned i = 0; i < count; ++i) {
          if ((chosen >> i & 1) != 0) some.push_back(shares[i]);
        }
        EXPECT_EQ(combine(some).value() == secret, some.size() >= threshold);
      }
    }
  }
}

TEST(Shares, OfWhatAreNoSharesNothingIsMade) {
  EXPECT_FALSE(split("secret", 0, 3).has_value());
  EXPECT_FALSE(split("secret", 4, 3).has_value());
  EXPECT_FALSE(split("", 1, 1).has_value());
  const auto shares = split("secret", 2, 3).value();
  EXPECT_FALSE(combine({}).has_value());
  EXPECT_FALSE(combine({shares[0], shares[0]}).has_value());
  EXPECT_FALSE(combine({shares[0], {2, "short"}}).has_value());
}

TEST(Shares, AShareIsALineOfText) {
  const auto read = parse_share(to_text({2, {3, "bytes"}}));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->threshold, 2);
  EXPECT_EQ(read->share.number, 3);
  EXPECT_EQ(read->share.bytes, "bytes");
  for (const char* wrong : {"", "2 3", "0 3 00", "2 0 00", "2 3 0", "2 300 00", "2 3 00 4", "x"})
    EXPECT_FALSE(parse_share(wrong).has_value()) << wrong;
}

std::shared_ptr<Pkcs11Token> token(const std::string& label) {
  use_softhsm_of_tests();
  EXPECT_TRUE(create_token(kModule, label, "1234").has_value());
  return open_token(kModule, label, "1234").value();
}

TEST(TokenStandby, TheKeyOfOneTokenSignsListsInAnotherAndStaysInNeitherTwice) {
  const auto home = token("home-of-keys"), other = token("other-region");
  for (const auto kind : {pki::KeyKind::kP256, pki::KeyKind::kP384, pki::KeyKind::kRsa}) {
    const std::string label = "issuing" + std::to_string(static_cast<int>(kind));
    const auto wrapped = home->generate_with_standby(label, kind, wrapping_key('k'));
    ASSERT_TRUE(wrapped.has_value()) << wrapped.error().message;
    EXPECT_EQ(home->generate_with_standby(label, kind, wrapping_key('k')).error().code, Code::kConflict);
    const auto signer = home->signer(label).value();
    const auto certificate = ca_certificate(signer);
    EXPECT_EQ(other->open_standby(*wrapped, wrapping_key('l'), signer->spki_der()).error().code, Code::kDenied);
    {
      const auto standby = other->open_standby(*wrapped, wrapping_key('k'), signer->spki_der());
      ASSERT_TRUE(standby.has_value()) << standby.error().message;
      EXPECT_TRUE(signs_lists_of(certificate, **standby));
      EXPECT_EQ(other->signer(label).error().code, Code::kNotFound) << "it has no name under which it could be had";
    }
    EXPECT_EQ(open_token(kModule, "other-region", "1234").value()->signer(label).error().code, Code::kNotFound);
    const auto in_memory = open_standby(*wrapped, wrapping_key('k'));
    ASSERT_TRUE(in_memory.has_value()) << "one form, whatever holds it";
    EXPECT_TRUE(signs_lists_of(certificate, **in_memory));
  }
}

}  // namespace
}  // namespace evercert::keys
