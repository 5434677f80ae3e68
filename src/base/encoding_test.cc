// SPDX-License-Identifier: Apache-2.0
#include "base/encoding.h"

#include <gtest/gtest.h>

#include "base/rfc3339.h"

namespace evercert {
namespace {

TEST(Encoding, Base64MatchesTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(to_base64(plain), text);
    EXPECT_EQ(from_base64(text).value(), plain);
  }
}

TEST(Encoding, Base64UrlRefusesPaddingForeignCharactersAndStrayBits) {
  EXPECT_EQ(from_base64url(to_base64url("\xff\xfe\xfd")).value(), "\xff\xfe\xfd");
  EXPECT_FALSE(from_base64url("Zg==").has_value());
  EXPECT_FALSE(from_base64url("Zm+v").has_value());
  EXPECT_FALSE(from_base64url("Z").has_value());
  EXPECT_FALSE(from_base64url("Zh").has_value()) << "two spellings of the same bytes must not both be accepted";
}

TEST(Rfc3339, IsInUtcAndCutToWholeSeconds) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(rfc3339(1'769'860'799'999), "2026-01-31T11:59:59Z");
}

TEST(Encoding, HexIsLowerCaseAndReadsEitherCase) {
  EXPECT_EQ(to_hex("\x01\xab"), "01ab");
  EXPECT_EQ(from_hex("01AB").value(), "\x01\xab");
  EXPECT_FALSE(from_hex("0").has_value());
  EXPECT_FALSE(from_hex("0g").has_value());
}

TEST(Encoding, Crc32cMatchesRfc3720AndContinues) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xe3069283u);
}

}  // namespace
}  // namespace evercert
