// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/signer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "traffic/dns/brain.h"
#include "traffic/dns/message_test.h"
#include "traffic/dns/responder.h"

namespace evercert::traffic::dns {
namespace {

using ::testing::HasSubstr;

std::string key_pem(const char* curve) {
  const std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* k) { EVP_PKEY_free(k); })> key(
      EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve));
  const std::unique_ptr<BIO, decltype([](BIO* b) { BIO_free(b); })> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

constexpr WallTime kNow{1'700'000'000'000};

class SignerTest : public ::testing::Test {
 protected:
  SignerTest()
      : zone_(*Zone::create(test_zone_options())),
        geography_(test_geography()),
        brain_(test_regions(), Policy::kWeightedLatency, {}, Instant{0}),
        signer_(*Signer::create(key_pem("P-256"), "k", "api.test.", 3600)) {
    auto copy = signer_->copy();
    copy_ = copy.get();
    responder_ = std::make_unique<Responder>(zone_, *geography_, std::move(copy), ResponderOptions{"", 2});
    responder_->use(brain_.view(), kNow);
  }

  Told ask(Ask question) {
    question.edns = true;
    const auto response = responder_->respond(question.bytes(), *parse_address("10.1.0.9"), false);
    EXPECT_TRUE(response);
    return Told(response->bytes);
  }
  // Every signature in the section is checked by the library with the zone's public key, at a time.
  static void verify(const ldns_rr_list* section, const ldns_rr* key, std::size_t signatures, std::time_t when) {
    const RecordsPtr keys(ldns_rr_list_new());
    ldns_rr_list_push_rr(keys.get(), ldns_rr_clone(key));
    std::size_t found = 0;
    for (std::size_t s = 0; s < ldns_rr_list_rr_count(section); ++s) {
      ldns_rr* signature = ldns_rr_list_rr(section, s);
      if (ldns_rr_get_type(signature) != LDNS_RR_TYPE_RRSIG) continue;
      ++found;
      const RecordsPtr covered(ldns_rr_list_new());
      for (std::size_t i = 0; i < ldns_rr_list_rr_count(section); ++i) {
        const ldns_rr* record = ldns_rr_list_rr(section, i);
        if (ldns_rr_get_type(record) == ldns_rdf2rr_type(ldns_rr_rrsig_typecovered(signature)))
          ldns_rr_list_push_rr(covered.get(), ldns_rr_clone(record));
      }
      EXPECT_GT(ldns_rr_list_rr_count(covered.get()), 0u);
      EXPECT_EQ(ldns_verify_rrsig_keylist_time(covered.get(), signature, keys.get(), when, nullptr), LDNS_STATUS_OK);
    }
    EXPECT_EQ(found, signatures);
  }
  void verify_answer(const Told& told, std::size_t signatures, std::time_t when = kNow.seconds()) {
    verify(ldns_pkt_answer(told.packet.get()), signer_->dnskey(), signatures, when);
  }
  void verify_authority(const Told& told, std::size_t signatures) {
    verify(ldns_pkt_authority(told.packet.get()), signer_->dnskey(), signatures, kNow.seconds());
  }
  static Ask secure(const char* name, int type = LDNS_RR_TYPE_A) {
    Ask question{name, type};
    question.dnssec_ok = true;
    return question;
  }

  Zone zone_;
  std::unique_ptr<Geography> geography_;
  Brain brain_;
  std::unique_ptr<Signer> signer_;
  Signer* copy_ = nullptr;
  std::unique_ptr<Responder> responder_;
};

TEST_F(SignerTest, AnswersAreSignedForThoseWhoAskAndNobodyElse) {
  const Told told = ask(secure("api.test."));
  EXPECT_EQ(told.answer().size(), 3u);
  verify_answer(told, 1);
  verify_answer(ask(secure("API.Test.")), 1);
  verify_answer(ask(secure("api.test.", LDNS_RR_TYPE_DNSKEY)), 1);
  verify_answer(ask(secure("api.test.", LDNS_RR_TYPE_SOA)), 1);
  verify_answer(ask(secure("api.test.", LDNS_RR_TYPE_HTTPS)), 1);
  EXPECT_EQ(ask({"api.test."}).answer().size(), 2u);
}

TEST_F(SignerTest, SignaturesAreGoodForDaysAndNotForWeeks) {
  const Told told = ask(secure("api.test."));
  verify_answer(told, 1, kNow.seconds() + 2 * 86400);
  verify_answer(told, 1, kNow.seconds() - 1800);
  const RecordsPtr keys(ldns_rr_list_new());
  ldns_rr_list_push_rr(keys.get(), ldns_rr_clone(signer_->dnskey()));
  ldns_rr_list* section = ldns_pkt_answer(told.packet.get());
  const RecordsPtr covered(ldns_rr_list_new());
  ldns_rr_list_push_rr(covered.get(), ldns_rr_clone(ldns_rr_list_rr(section, 0)));
  ldns_rr_list_push_rr(covered.get(), ldns_rr_clone(ldns_rr_list_rr(section, 1)));
  EXPECT_EQ(ldns_verify_rrsig_keylist_time(covered.get(), ldns_rr_list_rr(section, 2), keys.get(),
                                           kNow.seconds() + 5 * 86400, nullptr),
            LDNS_STATUS_CRYPTO_SIG_EXPIRED);
}

TEST_F(SignerTest, ANameThatIsNotThereIsProvedToBeWithoutRecords) {
  const Told told = ask(secure("no.api.test."));
  EXPECT_EQ(told.rcode(), 0) << "RFC 9824 section 3";
  verify_authority(told, 2);
  std::string nsec;
  for (const auto& line : told.authority()) nsec += line.find(" NSEC ") != std::string::npos ? line : "";
  EXPECT_THAT(nsec, HasSubstr("no.api.test. 30 IN NSEC \\000.no.api.test. "));
  EXPECT_THAT(nsec, HasSubstr("TYPE128"));
  Ask compact = secure("no.api.test.");
  compact.extra_flags = 0x4000;
  EXPECT_EQ(ask(compact).rcode(), LDNS_RCODE_NXDOMAIN) << "who says that it knows is told";
  EXPECT_EQ(ask({"no.api.test."}).rcode(), LDNS_RCODE_NXDOMAIN);
}

TEST_F(SignerTest, ATypeThatIsNotThereIsNotInTheProofAndTheOthersAre) {
  const Told told = ask(secure("api.test.", LDNS_RR_TYPE_MX));
  verify_authority(told, 2);
  std::string nsec;
  for (const auto& line : told.authority()) nsec += line.find(" NSEC ") != std::string::npos ? line : "";
  for (const char* type : {" A ", " NS ", " SOA ", " AAAA ", " DNSKEY ", " HTTPS ", " CAA", " RRSIG ", " NSEC "})
    EXPECT_THAT(nsec + " ", HasSubstr(type));
  EXPECT_THAT(nsec, ::testing::Not(HasSubstr(" MX")));
}

TEST_F(SignerTest, TheSameRecordsAreSignedOnce) {
  for (int i = 0; i < 50; ++i) ask(secure(i % 2 == 0 ? "api.test." : "aPi.tesT."));
  EXPECT_EQ(copy_->signatures_made(), 1u);
  responder_->use(brain_.view(), WallTime{kNow.ms + 3'600'000});
  ask(secure("api.test."));
  EXPECT_EQ(copy_->signatures_made(), 2u) << "another hour";
}

TEST_F(SignerTest, TheParentsRecordIsOfTheKey) {
  const RecordPtr ds(ldns_key_rr2ds(signer_->dnskey(), LDNS_SHA256));
  EXPECT_TRUE(ldns_rr_compare_ds(signer_->dnskey(), ds.get()));
  EXPECT_THAT(signer_->ds_text(), HasSubstr(" 13 2 "));
}

TEST(SignerKey, AnotherKindOfKeyIsRefusedWithTheWayToMakeOne) {
  for (const std::string& pem : {key_pem("P-384"), std::string("nothing")}) {
    const auto signer = Signer::create(pem, "zone.key", "api.test.", 3600);
    ASSERT_FALSE(signer);
    EXPECT_THAT(signer.error().message, HasSubstr("zone.key: "));
    EXPECT_THAT(signer.error().message, HasSubstr("openssl genpkey"));
  }
}

}  // namespace
}  // namespace evercert::traffic::dns
