// SPDX-License-Identifier: Apache-2.0
// The lint against OpenSSL: what passes is what OpenSSL reads as the certificate that was asked for.
#include "pki/lint.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/os/system.h"
#include "keys/software_signer.h"
#include "pki/certificate.h"
#include "pki/der.h"
#include "pki/openssl.h"
#include "pki/serial.h"

namespace evercert::pki {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;

class LintTest : public testing::Test {
 protected:
  LintTest() {
    const auto root = make_root("Lint Root", request.serial, kNow, *signer).value();
    const auto factory =
        CertificateFactory::create({root, {"http://1.test/ocsp"}, {"http://1.test/ca"}, {"http://1.test/crl"}}, signer)
            .value();
    tbs = factory->prepare(profile, request).value().tbs();
  }
  static std::shared_ptr<Signer> new_signer() {
    return keys::software_signer(keys::generate_key_pem(KeyKind::kP256).value()).value();
  }
  std::shared_ptr<Signer> signer = new_signer();
  PublicKey key = PublicKey::from_spki(new_signer()->spki_der()).value();
  Profile profile{"p", Usage::kServer, 86400, {NameKind::kDns, NameKind::kIp}};
  CertificateRequest request{make_serial(RegionId{1}, os::secure_random()),
                             kNow - 60,
                             kNow + 3600,
                             "a.test",
                             {{NameKind::kDns, "a.test"}, {NameKind::kIp, "192.0.2.1"}},
                             &key};
  std::string tbs;

  bool passes(const Profile& by, const CertificateRequest& asked, const std::string& of) const {
    return lint(by, asked, of).has_value();
  }
  X509Ptr as_openssl_reads(const std::string& of) const {
    const std::string whole = der::wrap(der::kSequence, of + signer->algorithm_der() + der::bit_string("x"));
    const unsigned char* at = bytes(whole);
    X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(whole.size())));
    ERR_clear_error();
    return certificate;
  }
  // Throws away what OpenSSL keeps of the bytes that it read.
  static std::string encoded_again(X509* certificate) {
    unsigned char* out = nullptr;
    const int length = i2d_re_X509_tbs(certificate, &out);
    std::string der(reinterpret_cast<char*>(out), static_cast<std::size_t>(std::max(length, 0)));
    OPENSSL_free(out);
    return der;
  }
  void expect_what_was_asked_for(const std::string& passed, const std::string& how) const {
    const auto certificate = as_openssl_reads(passed);
    ASSERT_TRUE(certificate) << how;
    X509* c = certificate.get();
    EXPECT_EQ(X509_get_version(c), X509_VERSION_3) << how;
    const ASN1_INTEGER* serial = X509_get0_serialNumber(c);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)), 16), request.serial) << how;
    EXPECT_EQ(ASN1_STRING_type(serial), V_ASN1_INTEGER) << how;
    EXPECT_EQ(ASN1_TIME_cmp_time_t(X509_get0_notBefore(c), request.not_before), 0) << how;
    EXPECT_EQ(ASN1_TIME_cmp_time_t(X509_get0_notAfter(c), request.not_after), 0) << how;
    EXPECT_EQ(X509_check_host(c, "a.test", 6, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr), 1) << how;
    EXPECT_EQ(X509_check_ip_asc(c, "192.0.2.1", 0), 1) << how;
    EXPECT_EQ(to_der(X509_get_X509_PUBKEY(c), i2d_X509_PUBKEY), key.spki_der()) << how;
    EXPECT_EQ(X509_check_ca(c), 0) << how;
    EXPECT_EQ(X509_get_key_usage(c) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN), 0u) << how;
    EXPECT_EQ(X509_get_extended_key_usage(c) & XKU_OCSP_SIGN, 0u) << how;
    EXPECT_EQ(encoded_again(c), passed) << how;
  }
};

TEST_F(LintTest, WhatPassesIsWhatOpenSslReadsWhicheverBitIsWrong) {
  expect_what_was_asked_for(tbs, "unchanged");
  std::size_t passed = 0;
  for (std::size_t i = 0; i < tbs.size() * 8; ++i) {
    std::string bad = tbs;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << i % 8));
    if (!passes(profile, request, bad)) continue;
    ++passed;
    // Names of issuers and places, which the lint has nothing to compare with.
    expect_what_was_asked_for(bad, "bit " + std::to_string(i));
  }
  EXPECT_LT(passed, tbs.size() * 4) << "most of a certificate is looked at";
}

TEST_F(LintTest, WhatIsLeftOutDoubledOrMovedIsFound) {
  const auto certificate = as_openssl_reads(tbs);
  const int count = X509_get_ext_count(certificate.get());
  ASSERT_GE(count, 8);
  for (int i = 0; i < count; ++i) {
    auto without = as_openssl_reads(tbs), twice = as_openssl_reads(tbs);
    const ExtPtr extension(X509_delete_ext(without.get(), i));
    const int kind = OBJ_obj2nid(X509_EXTENSION_get_object(extension.get()));
    const bool optional = kind == NID_info_access || kind == NID_crl_distribution_points;
    EXPECT_EQ(passes(profile, request, encoded_again(without.get())), optional) << OBJ_nid2sn(kind);
    X509_add_ext(twice.get(), extension.get(), -1);
    EXPECT_FALSE(passes(profile, request, encoded_again(twice.get()))) << OBJ_nid2sn(kind);
  }
}

TEST_F(LintTest, EveryDifferenceFromTheRequestIsFound) {
  EXPECT_TRUE(passes(profile, request, tbs));
  const auto differs = [&](auto change) {
    CertificateRequest other = request;
    change(other);
    return !passes(profile, other, tbs);
  };
  const auto another = PublicKey::from_spki(new_signer()->spki_der()).value();
  EXPECT_TRUE(differs([](auto& r) { r.serial[5] ^= 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.not_before += 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.not_after -= 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.common_name = "b.test"; }));
  EXPECT_TRUE(differs([](auto& r) { r.common_name.clear(); }));
  EXPECT_TRUE(differs([](auto& r) { r.names.pop_back(); }));
  EXPECT_TRUE(differs([](auto& r) { r.names.push_back({NameKind::kDns, "c.test"}); }));
  EXPECT_TRUE(differs([&](auto& r) { r.key = &another; }));
  Profile ca = profile, brief = profile;
  ca.usage = Usage::kIssuingCa;
  EXPECT_FALSE(passes(ca, request, tbs));
  brief.validity_seconds = 600;
  EXPECT_FALSE(passes(brief, request, tbs));
}

}  // namespace
}  // namespace evercert::pki
