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

// A certificate of our own hand, sound unless a part is replaced.
struct Crafted {
  std::string version = der::wrap(der::context(0), der::integer("\x02"));
  std::string serial, algorithm, issuer = common_name("Lint Root"), dates, subject = common_name("a.test"), spki;
  std::string names = context(2, "a.test") + context(7, std::string("\xc0\x00\x02\x01", 4));
  std::string constraints = der::wrap(der::kSequence, {});
  std::string key_usage = std::string("\x03\x02\x07\x80", 4), extended = "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
  std::string more;

  static std::string context(int tag, const std::string& content) {
    return der::wrap(static_cast<std::uint8_t>(0x80 | tag), content);
  }
  static std::string common_name(const std::string& text) { return name(attribute(der::wrap(der::kUtf8String, text))); }
  static std::string attribute(const std::string& value) {
    return der::wrap(der::kSet, der::wrap(der::kSequence, "\x06\x03\x55\x04\x03" + value));
  }
  static std::string name(const std::string& attributes) { return der::wrap(der::kSequence, attributes); }
  // Of the arc 2.5.29.
  static std::string extension(char last, const std::string& value, const std::string& critical = {}) {
    const std::string oid = std::string("\x06\x03\x55\x1d", 4) + last;
    return der::wrap(der::kSequence, oid + critical + der::wrap(der::kOctetString, value));
  }
  std::string tbs() const {
    const std::string id(20, 'i');
    std::string extensions =
        extension(14, der::wrap(der::kOctetString, id)) + extension(35, der::wrap(der::kSequence, context(0, id)));
    if (!names.empty()) extensions += extension(17, der::wrap(der::kSequence, names));
    if (!constraints.empty()) extensions += extension(19, constraints);
    if (!key_usage.empty()) extensions += extension(15, key_usage);
    if (!extended.empty()) extensions += extension(37, der::wrap(der::kSequence, extended));
    return der::wrap(der::kSequence, version + serial + algorithm + issuer + dates + subject + spki +
                                         der::wrap(der::context(3), der::wrap(der::kSequence, extensions + more)));
  }
};

class CraftedTest : public LintTest {
 protected:
  CraftedTest() {
    sound.serial = der::integer(request.serial);
    sound.algorithm = signer->algorithm_der();
    sound.dates = der::wrap(der::kSequence, der::time(request.not_before) + der::time(request.not_after));
    sound.spki = key.spki_der();
  }
  Crafted sound;
  // The finding's name, or the whole message of what is no finding; empty: passed.
  std::string found(const std::string& of) const {
    const auto result = lint(profile, request, of);
    if (result) return {};
    const std::string& message = result.error().message;
    return message.starts_with("lint ") ? message.substr(5, message.find(':') - 5) : message;
  }
  std::string found(auto change) const {
    Crafted bad = sound;
    change(bad);
    return found(bad.tbs());
  }
};

TEST_F(CraftedTest, EachFindingIsReportedByItsName) {
  EXPECT_EQ(found(sound.tbs()), "");
  EXPECT_EQ(found([](auto& c) { c.version.clear(); }), "e_version") << "version 1";
  EXPECT_EQ(found([](auto& c) { c.version = der::wrap(der::context(0), der::integer("\x01")); }), "e_version");
  EXPECT_EQ(found([&](auto& c) { c.serial = der::integer(request.serial.substr(1)); }), "e_serial_number");
  EXPECT_EQ(found([&](auto& c) { std::swap(c.issuer, c.dates); }), "e_not_der") << "parts in the wrong order";
  EXPECT_EQ(found([](auto& c) { c.constraints = der::wrap(der::kSequence, "\x01\x01\xff"); }), "e_basic_constraints");
  EXPECT_EQ(found([](auto& c) { c.constraints.clear(); }), "e_basic_constraints");
  EXPECT_EQ(found([](auto& c) { c.key_usage.clear(); }), "e_key_usage_missing");
  EXPECT_EQ(found([](auto& c) { c.key_usage = "\x03\x02\x02\x84"; }), "e_key_usage_ca_bits") << "keyCertSign";
  EXPECT_EQ(found([](auto& c) { c.key_usage = "\x03\x02\x01\x82"; }), "e_key_usage_ca_bits") << "cRLSign";
  EXPECT_EQ(found([](auto& c) { c.extended.clear(); }), "e_eku_missing");
  EXPECT_EQ(found([](auto& c) { c.extended += "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x09"; }), "e_eku_ocsp");
  EXPECT_EQ(found([](auto& c) { c.names.clear(); }), "e_san_differs");
  EXPECT_EQ(found([&](auto& c) { c.spki = signer->spki_der(); }), "e_spki_differs");
  for (const char kind : {14, 15, 17, 19, 35, 37, 99})
    EXPECT_EQ(found([&](auto& c) { c.more = Crafted::extension(kind, "x") + Crafted::extension(kind, "y"); }),
              kind == 17 ? "e_san_differs" : "e_extension_twice")
        << static_cast<int>(kind) << ": the names are none when they are there twice, and are compared first";
}

// RFC 7633.
TEST_F(CraftedTest, ATlsFeatureIsThereWhenTheProfileAsksForItAndNotElse) {
  const auto with = [](char feature) {
    const std::string oid("\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x18", 10);
    const std::string value = der::wrap(der::kSequence, std::string("\x02\x01", 2) + feature);
    return [=](Crafted& c) { c.more = der::wrap(der::kSequence, oid + der::wrap(der::kOctetString, value)); };
  };
  EXPECT_EQ(found(with(5)), "e_tls_feature");
  profile.must_staple = true;
  EXPECT_EQ(found(sound.tbs()), "e_tls_feature");
  EXPECT_EQ(found(with(5)), "");
  EXPECT_EQ(found(with(6)), "e_tls_feature") << "another one";
}

TEST_F(CraftedTest, ANegativeSerialNumberOfTheRightOctetsIsFound) {
  request.serial[0] = static_cast<char>(request.serial[0] | 0x80);
  const std::string negative = std::string("\x02\x10") + request.serial, positive = der::integer(request.serial);
  ASSERT_NE(negative, positive);
  EXPECT_EQ(found([&](auto& c) { c.serial = positive; }), "");
  EXPECT_EQ(found([&](auto& c) { c.serial = negative; }), "e_serial_number");
}

TEST_F(CraftedTest, WhatIsBerAndNotDerIsFound) {
  const std::string good = sound.tbs();
  ASSERT_EQ(good.substr(0, 2), "\x30\x82");
  EXPECT_EQ(found("\x30\x83" + std::string(1, '\0') + good.substr(2)), "e_not_der") << "a length that is too long";
  EXPECT_EQ(found("\x30\x80" + good.substr(4) + std::string(2, '\0')), "e_not_der") << "no length";
  EXPECT_EQ(found(good + '\0'), "e_not_der") << "something follows";
  EXPECT_EQ(found(good.substr(0, good.size() - 1)), "e_not_der") << "cut off";
  EXPECT_EQ(found([](auto& c) { c.serial.replace(0, 2, std::string("\x02\x81\x10", 3)); }), "e_not_der");
  EXPECT_EQ(found([&](auto& c) { c.serial = "\x02\x12" + std::string(2, '\0') + request.serial; }), "e_not_der")
      << "zeros in front";
  EXPECT_EQ(found([](auto& c) { c.version = der::wrap(der::context(0), der::integer(std::string(1, '\0'))); }),
            "e_not_der")
      << "a default that is spelt out";
  EXPECT_EQ(found([](auto& c) { c.more = Crafted::extension(99, "x", std::string("\x01\x01\x00", 3)); }), "e_not_der")
      << "not critical, spelt out";
  EXPECT_EQ(found([](auto& c) { c.more = Crafted::extension(99, "x", "\x01\x01\x01"); }), "e_not_der")
      << "a half truth";
  EXPECT_EQ(found([](auto& c) { c.key_usage = "\x03\x02\x07\x81"; }), "e_key_usage_missing") << "unused bits are set";
  EXPECT_EQ(found([](auto& c) { c.issuer = Crafted::common_name("\xff"); }), "e_not_der") << "no UTF-8";
  EXPECT_EQ(
      found([](auto& c) { c.subject = Crafted::name(Crafted::attribute(der::wrap(der::kOctetString, "a.test"))); }),
      "e_not_der")
      << "no text";
}

TEST_F(CraftedTest, TheSubjectIsTheCommonNameAlone) {
  EXPECT_EQ(found([](auto& c) { c.subject = Crafted::name({}); }), "e_subject_differs");
  EXPECT_EQ(found([](auto& c) { c.subject = Crafted::common_name("b.test"); }), "e_subject_differs");
  const std::string one = Crafted::attribute(der::wrap(der::kUtf8String, "a.test"));
  EXPECT_EQ(found([&](auto& c) { c.subject = Crafted::name(one + one); }), "e_subject_differs");
}

TEST_F(CraftedTest, NamesOfEveryKindAreComparedAsTheyAreEncoded) {
  profile.name_kinds = {NameKind::kDns, NameKind::kIp, NameKind::kUri, NameKind::kEmail};
  const std::string v6 = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01";
  request.names = {{NameKind::kDns, "a.test"},
                   {NameKind::kIp, "2001:db8::1"},
                   {NameKind::kUri, "spiffe://a.test/x"},
                   {NameKind::kEmail, "x@a.test"}};
  const std::string dns = Crafted::context(2, "a.test"), address = Crafted::context(7, v6),
                    uri = Crafted::context(6, "spiffe://a.test/x"), mail = Crafted::context(1, "x@a.test");
  const auto with = [&](const std::string& names) { return found([&](auto& c) { c.names = names; }); };
  EXPECT_EQ(with(dns + address + uri + mail), "");
  EXPECT_EQ(with(mail + uri + address + dns), "") << "in any order";
  EXPECT_EQ(with(dns + address + uri), "e_san_differs");
  EXPECT_EQ(with(dns + address + uri + Crafted::context(2, "x@a.test")), "e_san_differs") << "mail as DNS name";
  EXPECT_EQ(with(dns + address + mail + Crafted::context(6, "spiffe://a.test/y")), "e_san_differs");
  EXPECT_EQ(with(dns + Crafted::context(7, v6.substr(1)) + uri + mail), "an IP name must have 4 or 16 bytes");
  EXPECT_EQ(with(dns + address + uri + mail + Crafted::context(2, std::string("a\0b", 3))),
            "a name holds a NUL character");
  EXPECT_EQ(with(dns + address + uri + mail + Crafted::context(8, "\x2a\x03")),
            "a subject alternative name is of a kind that is not issued: use DNS, IP, URI or e-mail");
  EXPECT_EQ(with(dns + address + uri + Crafted::context(1, "x@\xe4.test")), "e_san_differs") << "not ASCII";
  std::string many;
  for (int i = 0; i < 101; ++i) many += dns;
  EXPECT_EQ(with(many), "more than 100 names");
  profile.name_kinds = {NameKind::kDns};
  EXPECT_EQ(with(dns + address + uri + mail), "e_name_kind");
}

}  // namespace
}  // namespace evercert::pki
