// SPDX-License-Identifier: Apache-2.0
// The pki module with real keys: what is issued must satisfy OpenSSL's own verifiers.
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/os/system.h"
#include "keys/software_signer.h"
#include "pki/certificate.h"
#include "pki/crl.h"
#include "pki/csr.h"
#include "pki/ocsp.h"
#include "pki/openssl.h"
#include "pki/pem.h"
#include "pki/serial.h"
#include "pki/weak_keys.h"

namespace evercert::pki {
namespace {

const std::int64_t kNow = os::wall_clock().now().seconds();

std::shared_ptr<Signer> new_signer(KeyKind kind = KeyKind::kP256) {
  return keys::software_signer(keys::generate_key_pem(kind).value()).value();
}

class PkiTest : public testing::Test {
 protected:
  void SetUp() override {
    root_signer = new_signer();
    root = make_root("Test Root", serial(), kNow, *root_signer).value();
    auto root_factory = CertificateFactory::create({root, {}, {}, {}}, root_signer).value();
    ca_signer = new_signer();
    const auto ca_key = PublicKey::from_spki(ca_signer->spki_der()).value();
    Profile issuing{"issuing", Usage::kIssuingCa, 5ll * 365 * 86400, {}};
    ca = root_factory
             ->sign(root_factory->prepare(issuing, {serial(), kNow - 60, kNow + 86400 * 365, "Test CA", {}, &ca_key})
                        .value())
             .value();
    factory = CertificateFactory::create({ca,
                                          {"http://1.test/ocsp", "http://2.test/ocsp"},
                                          {"http://1.test/ca.crt", "http://2.test/ca.crt"},
                                          {"http://1.test/1.crl", "http://2.test/1.crl"}},
                                         ca_signer)
                  .value();
  }
  static std::string serial() { return make_serial(RegionId{2}, os::secure_random()); }
  Result<std::string> issue(KeyKind kind, Usage usage, std::vector<Name> names, std::string cn) {
    const auto key = PublicKey::from_spki(new_signer(kind)->spki_der()).value();
    Profile profile{"p", usage, 90 * 86400, {NameKind::kDns, NameKind::kIp, NameKind::kUri, NameKind::kEmail}};
    auto tbs = factory->prepare(profile, {last_serial = serial(), kNow - 60, kNow + 90 * 86400 - 60, cn, names, &key});
    if (!tbs) return fail(tbs.error());
    return factory->sign(std::move(*tbs));
  }
  std::shared_ptr<Signer> root_signer, ca_signer;
  std::string root, ca, last_serial;
  std::unique_ptr<CertificateFactory> factory;
};

// Keeps what it is given to sign.
class Recording : public Signer {
 public:
  Recording(std::shared_ptr<Signer> signs, std::string spki) : signs_(std::move(signs)), spki_(std::move(spki)) {}
  Result<std::string> sign(std::string_view tbs) const override {
    signed_.emplace_back(tbs);
    if (gone) return fail(Code::kUnavailable, "the token is gone");
    return signs_->sign(tbs);
  }
  const std::string& spki_der() const override { return spki_; }
  const std::string& algorithm_der() const override { return signs_->algorithm_der(); }
  const std::vector<std::string>& asked() const { return signed_; }
  bool gone = false;

 private:
  std::shared_ptr<Signer> signs_;
  std::string spki_;
  mutable std::vector<std::string> signed_;
};

TEST_F(PkiTest, AnIssuingKeyIsTriedWithWhatCanBeNothingThatIsSignedByOne) {
  const auto key = std::make_shared<Recording>(ca_signer, ca_signer->spki_der());
  const auto tried = CertificateFactory::create({ca, {}, {}, {}}, key).value();
  ASSERT_TRUE(tried->try_key(kNow).has_value());
  ASSERT_TRUE(tried->try_key(kNow + 60).has_value());
  ASSERT_EQ(key->asked().size(), 2u) << "each time with a real signature";
  EXPECT_NE(key->asked()[0], key->asked()[1]) << "and over something new";
  for (const std::string& text : key->asked()) {
    EXPECT_TRUE(text.starts_with(kSelfCheck));
    EXPECT_NE(text.front(), '\x30') << "certificates, CRLs, OCSP answers and requests begin with a SEQUENCE";
  }
}

TEST_F(PkiTest, AnIssuingKeyThatDoesNotSignOrIsAnothersIsFound) {
  const auto gone = std::make_shared<Recording>(ca_signer, ca_signer->spki_der());
  gone->gone = true;
  const auto without = CertificateFactory::create({ca, {}, {}, {}}, gone).value()->try_key(kNow);
  ASSERT_FALSE(without.has_value());
  EXPECT_EQ(without.error().message, "the token is gone");
  // The token says that it has the key, and signs with another: what is issued would be refused by everybody.
  const auto wrong = std::make_shared<Recording>(new_signer(), ca_signer->spki_der());
  const auto other = CertificateFactory::create({ca, {}, {}, {}}, wrong).value()->try_key(kNow);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Code::kUnavailable);
}

TEST_F(PkiTest, IssuesForEveryKindOfKeyNameAndUsageWhatAStrictVerifierAccepts) {
  const std::vector<Name> names{{NameKind::kDns, "a.example.test"},
                                {NameKind::kDns, "*.b.example.test"},
                                {NameKind::kIp, "192.0.2.1"},
                                {NameKind::kIp, "2001:db8::1"},
                                {NameKind::kUri, "spiffe://example.test/x"},
                                {NameKind::kEmail, "a@example.test"}};
  for (const KeyKind kind : {KeyKind::kP256, KeyKind::kP384, KeyKind::kRsa, KeyKind::kEd25519}) {
    for (const Usage usage : {Usage::kServer, Usage::kClient, Usage::kBoth}) {
      const auto der = issue(kind, usage, names, "a.example.test");
      ASSERT_TRUE(der.has_value()) << der.error().message;
      const auto verified = verify_chain(*der, {ca}, root, kNow);
      EXPECT_TRUE(verified.has_value()) << verified.error().message;
      EXPECT_FALSE(verify_chain(*der, {ca}, root, kNow + 91 * 86400)) << "expired";
      const auto facts = read_certificate(*der).value();
      EXPECT_EQ(facts.serial, last_serial);
      EXPECT_EQ(facts.names.size(), names.size());
      EXPECT_FALSE(facts.authority_key_id.empty());
    }
  }
}

// RFC 7633.
TEST_F(PkiTest, AProfileMayAskForAStapledOcspAnswer) {
  const auto key = PublicKey::from_spki(new_signer()->spki_der()).value();
  for (const bool wanted : {false, true}) {
    const Profile profile{"p", Usage::kServer, 90 * 86400, {NameKind::kDns}, wanted};
    auto tbs =
        factory->prepare(profile, {serial(), kNow - 60, kNow + 86400, "a.test", {{NameKind::kDns, "a.test"}}, &key});
    ASSERT_TRUE(tbs) << tbs.error().message;
    const auto der = factory->sign(std::move(*tbs)).value();
    EXPECT_EQ(read_certificate(der).value().must_staple, wanted);
    EXPECT_TRUE(verify_chain(der, {ca}, root, kNow));
  }
}

TEST_F(PkiTest, ACertificateNamesEveryPlaceOfItsStatusInOrder) {
  const auto der = issue(KeyKind::kP256, Usage::kServer, {{NameKind::kDns, "a.test"}}, "").value();
  const unsigned char* p = bytes(der);
  const X509Ptr certificate(d2i_X509(nullptr, &p, static_cast<long>(der.size())));
  const auto uri = [](const GENERAL_NAME* name) {
    int type = 0;
    const auto* text = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
    EXPECT_EQ(type, GEN_URI);
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<std::size_t>(ASN1_STRING_length(text)));
  };
  const Owned<AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free> access(
      static_cast<AUTHORITY_INFO_ACCESS*>(X509_get_ext_d2i(certificate.get(), NID_info_access, nullptr, nullptr)));
  std::vector<std::pair<int, std::string>> places;
  for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(access.get()); ++i) {
    const ACCESS_DESCRIPTION* one = sk_ACCESS_DESCRIPTION_value(access.get(), i);
    places.emplace_back(OBJ_obj2nid(one->method), uri(one->location));
  }
  const std::vector<std::pair<int, std::string>> wanted{{NID_ad_OCSP, "http://1.test/ocsp"},
                                                        {NID_ad_OCSP, "http://2.test/ocsp"},
                                                        {NID_ad_ca_issuers, "http://1.test/ca.crt"},
                                                        {NID_ad_ca_issuers, "http://2.test/ca.crt"}};
  EXPECT_EQ(places, wanted);
  const Owned<CRL_DIST_POINTS, CRL_DIST_POINTS_free> points(static_cast<CRL_DIST_POINTS*>(
      X509_get_ext_d2i(certificate.get(), NID_crl_distribution_points, nullptr, nullptr)));
  ASSERT_EQ(sk_DIST_POINT_num(points.get()), 1) << "one list at two places, not two lists";
  const GENERAL_NAMES* names = sk_DIST_POINT_value(points.get(), 0)->distpoint->name.fullname;
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 2);
  EXPECT_EQ(uri(sk_GENERAL_NAME_value(names, 0)), "http://1.test/1.crl");
  EXPECT_EQ(uri(sk_GENERAL_NAME_value(names, 1)), "http://2.test/1.crl");
}

TEST_F(PkiTest, NothingThatFailsALintCanBeSigned) {
  EXPECT_FALSE(issue(KeyKind::kP256, Usage::kServer, {}, "")) << "no names";
  EXPECT_FALSE(issue(KeyKind::kP256, Usage::kServer, {{NameKind::kDns, "under_score.test"}}, "")) << "bad DNS name";
  EXPECT_FALSE(issue(KeyKind::kP256, Usage::kServer, {{NameKind::kDns, "a.test"}}, "b.test"))
      << "CN not among the names";
  const auto key = PublicKey::from_spki(new_signer()->spki_der()).value();
  Profile profile{"short", Usage::kServer, 3600, {NameKind::kDns}};
  EXPECT_FALSE(factory->prepare(profile, {serial(), kNow, kNow + 7200, "", {{NameKind::kDns, "a.test"}}, &key}))
      << "too long";
  EXPECT_FALSE(factory->prepare(profile, {serial(), kNow, kNow + 60, "", {{NameKind::kIp, "192.0.2.1"}}, &key}))
      << "kind of name";
}

TEST_F(PkiTest, CsrsAreCheckedAndTheirNamesRead) {
  for (const KeyKind kind : {KeyKind::kP256, KeyKind::kP384, KeyKind::kRsa, KeyKind::kEd25519}) {
    const auto pem = keys::make_csr_pem(keys::generate_key_pem(kind).value(),
                                        {{NameKind::kDns, "X.example.test"}, {NameKind::kIp, "192.0.2.7"}})
                         .value();
    const auto csr = parse_csr_pem(pem);
    ASSERT_TRUE(csr.has_value()) << csr.error().message;
    EXPECT_EQ(csr->names, (std::vector<Name>{{NameKind::kDns, "x.example.test"}, {NameKind::kIp, "192.0.2.7"}}));
    EXPECT_EQ(csr->key.kind(), kind);
  }
  const auto pem =
      keys::make_csr_pem(keys::generate_key_pem(KeyKind::kP256).value(), {{NameKind::kDns, "x.example.test"}}).value();
  auto der = from_pem("CERTIFICATE REQUEST", pem).value().front();
  for (std::size_t i = 0; i < der.size(); ++i) {
    std::string bad = der;
    bad[i] ^= 0x01;
    EXPECT_FALSE(parse_csr(bad).has_value()) << "byte " << i << " changed";
    EXPECT_FALSE(parse_csr(der.substr(0, i)).has_value());
  }
}

// Keys share what is costly to make; a signature counts for its own key alone, whichever was asked for before.
TEST_F(PkiTest, ASignatureIsCheckedWithItsOwnKeyHoweverKeysAlternate) {
  for (const KeyKind kind : {KeyKind::kP256, KeyKind::kP384}) {
    const auto one = new_signer(kind), two = new_signer(kind);
    const auto key_one = PublicKey::from_spki(one->spki_der()).value();
    const auto key_two = PublicKey::from_spki(two->spki_der()).value();
    const auto by_one = one->sign("data").value(), by_two = two->sign("data").value();
    for (int turn = 0; turn < 3; ++turn) {
      EXPECT_TRUE(key_one.verify_x509("data", by_one));
      EXPECT_FALSE(key_two.verify_x509("data", by_one));
      std::string off_curve = two->spki_der();
      off_curve.back() ^= 1;
      EXPECT_FALSE(PublicKey::from_spki(off_curve).has_value());
      EXPECT_TRUE(key_two.verify_x509("data", by_two));
      EXPECT_FALSE(key_one.verify_x509("data", by_two));
      EXPECT_FALSE(key_one.verify_x509("other", by_one));
    }
  }
}

TEST_F(PkiTest, WeakRsaKeysAreRefusedWithTheReason) {
  const auto small =
      keys::make_csr_pem(keys::generate_key_pem(KeyKind::kRsa, 1024).value_or(""), {{NameKind::kDns, "a.test.test"}});
  ASSERT_TRUE(small.has_value());
  const auto refused = parse_csr_pem(*small);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  const std::string modulus = from_hex(std::string(512, 'b')).value();
  EXPECT_NE(check_rsa_strength(modulus, std::string("\x03", 1)).error().message.find("65537"), std::string::npos);
  EXPECT_NE(check_rsa_strength(from_hex("bb" + std::string(508, '0') + "02").value(), std::string("\x01\x00\x01", 3))
                .error()
                .message.find("small factor"),
            std::string::npos);
  // The product of two neighbouring primes above 2^255: Fermat finds them at once.
  const auto close = from_hex(
                         "400000000000000000000000000000000000000000000000000000000000308500000000000000000000000000000"
                         "000000000000000000000000000093224d9")
                         .value();
  EXPECT_FALSE(check_rsa_strength(close, std::string("\x01\x00\x01", 3)).has_value());
}

TEST_F(PkiTest, OcspAnswersVerifyAndSayWhatWasMeant) {
  auto responder = new_signer();
  const auto responder_key = PublicKey::from_spki(responder->spki_der()).value();
  Profile profile{"ocsp", Usage::kOcspResponder, 30 * 86400, {}};
  const std::int64_t now = os::wall_clock().now().seconds();
  const auto certificate =
      factory
          ->sign(factory->prepare(profile, {serial(), now - 60, now + 86400, "responder", {}, &responder_key}).value())
          .value();
  const std::string subject = serial();
  const auto request = parse_ocsp_request(make_ocsp_request(ca, subject).value());
  ASSERT_TRUE(request.has_value());
  ASSERT_EQ(request->ids.size(), 1u);
  EXPECT_EQ(request->ids[0].serial, subject);
  EXPECT_EQ(request->ids[0].issuer_key_hash, issuer_hashes(ca)->key_sha1);
  for (const CertStatus status : {CertStatus::kGood, CertStatus::kRevoked, CertStatus::kUnknown}) {
    const auto response = make_ocsp_response({{request->ids[0], status, now - 5, 1}}, now, now + 3600,
                                             std::string("nonce"), *responder, certificate);
    ASSERT_TRUE(response.has_value());
    const auto result = read_ocsp_response(*response, ca, subject);
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(result->status, status);
    EXPECT_EQ(result->next_update, now + 3600);
    EXPECT_EQ(result->reason, status == CertStatus::kRevoked ? 1 : 0);
  }
  EXPECT_FALSE(parse_ocsp_request("garbage").has_value());
  EXPECT_FALSE(parse_ocsp_request(std::string(5000, 'x')).has_value());
}

TEST_F(PkiTest, CrlsVerifyAndCarryNumberDatesAndEntries) {
  const std::string one = serial();
  const auto der =
      make_crl(ca, *crl_signer(ca_signer), 7, kNow, kNow + 86400, {{one, kNow - 10, 1}, {serial(), kNow - 20, 0}});
  ASSERT_TRUE(der.has_value());
  const auto facts = read_crl(*der, ca);
  ASSERT_TRUE(facts.has_value()) << facts.error().message;
  EXPECT_EQ(facts->number, 7u);
  EXPECT_EQ(facts->next_update, kNow + 86400);
  ASSERT_EQ(facts->entries.size(), 2u);
  EXPECT_EQ(facts->entries[0].serial, one);
  EXPECT_EQ(facts->entries[0].reason, 1);
  EXPECT_TRUE(read_crl(make_crl(ca, *crl_signer(ca_signer), 8, kNow, kNow + 1, {}).value(), ca).has_value())
      << "an empty list is a list";
  EXPECT_FALSE(read_crl(*der, root).has_value()) << "another issuer";
}

}  // namespace
}  // namespace evercert::pki
