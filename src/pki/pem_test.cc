// SPDX-License-Identifier: Apache-2.0
#include "pki/pem.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "pki/openssl.h"

namespace evercert::pki {
namespace {

std::string written_by_openssl(const char* label, const std::string& der) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio(out.get(), label, "", bytes(der), static_cast<long>(der.size()));
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

TEST(Pem, IsWrittenAsOpenSslWritesItAndReadBack) {
  std::string der;
  for (int size = 1; size < 200; ++size) {
    der.push_back(static_cast<char>(size * 7));
    const std::string pem = to_pem("CERTIFICATE", der);
    ASSERT_EQ(pem, written_by_openssl("CERTIFICATE", der));
    EXPECT_EQ(from_pem("CERTIFICATE", pem).value(), std::vector{der});
  }
}

TEST(Pem, TextAroundBlocksLineEndsAndOtherBlocksDoNotMatter) {
  std::string pem = "Subject: a.test\n" + to_pem("X509 CRL", "c") + "words\r\n" + to_pem("CERTIFICATE", "one") + "\n" +
                    to_pem("CERTIFICATE", "two") + "trailing";
  EXPECT_EQ(from_pem("CERTIFICATE", pem).value(), (std::vector<std::string>{"one", "two"}));
  for (std::size_t at = 0; (at = pem.find('\n', at)) != std::string::npos; at += 2) pem.insert(at, "\r");
  EXPECT_EQ(from_pem("CERTIFICATE", pem).value().size(), 2u);
  EXPECT_EQ(from_pem("CERTIFICATE REQUEST", to_pem("NEW CERTIFICATE REQUEST", "r")).value().front(), "r");
  std::string unended = to_pem("CERTIFICATE", "one");
  unended.pop_back();
  EXPECT_EQ(from_pem("CERTIFICATE", unended).value().size(), 1u) << "the last line may have no end";
}

TEST(Pem, DamageIsToldFromAbsence) {
  const auto why = [](const std::string& text) { return from_pem("CERTIFICATE", text).error().message; };
  EXPECT_NE(why("").find("no PEM block 'CERTIFICATE'"), std::string::npos);
  EXPECT_NE(why(to_pem("X509 CRL", "c")).find("no PEM block"), std::string::npos);
  const std::string good = to_pem("CERTIFICATE", "some bytes");
  const std::string begin = good.substr(0, good.find('\n') + 1);
  for (const std::string& bad : {begin, begin + "-----END CERTIFICATE-----\n", begin + "Y29\n-----END X509 CRL-----\n",
                                 begin + "Y2!v\n-----END CERTIFICATE-----\n",
                                 begin + "Proc-Type: 4,ENCRYPTED\n\n" + good.substr(begin.size()), begin + good})
    EXPECT_NE(why(bad).find("damaged"), std::string::npos) << bad;
}

}  // namespace
}  // namespace evercert::pki
