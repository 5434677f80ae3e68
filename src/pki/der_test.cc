// SPDX-License-Identifier: Apache-2.0
#include "pki/der.h"

#include <gtest/gtest.h>

#include "pki/openssl.h"

namespace evercert::pki::der {
namespace {

TEST(Der, DatesAreWrittenAsOpenSslWritesThem) {
  using TimePtr = Owned<ASN1_TIME, ASN1_TIME_free>;
  constexpr std::int64_t kOddDay = 86400 + 3607, kYear2090 = 3786912000;
  for (std::int64_t at = 0; at < kYear2090; at += kOddDay) {
    const TimePtr time_(ASN1_TIME_set(nullptr, at));
    EXPECT_EQ(time(at), to_der(time_.get(), i2d_ASN1_TIME)) << at;
    const TimePtr general(ASN1_GENERALIZEDTIME_set(nullptr, at));
    EXPECT_EQ(generalized_time(at), to_der(general.get(), i2d_ASN1_GENERALIZEDTIME)) << at;
  }
}

TEST(Der, LengthsAndNumbersAreWrittenAsOpenSslWritesThem) {
  for (const std::size_t size : {0, 1, 127, 128, 255, 256, 65535, 65536}) {
    const std::string content(size, 'x');
    const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> octets(ASN1_OCTET_STRING_new());
    ASN1_OCTET_STRING_set(octets.get(), bytes(content), static_cast<int>(size));
    EXPECT_EQ(wrap(kOctetString, content), to_der(octets.get(), i2d_ASN1_OCTET_STRING)) << size;
    std::string begun;
    begin(begun, kOctetString, size);
    EXPECT_EQ(begun + content, wrap(kOctetString, content)) << size;
  }
  for (const std::uint64_t value : {0ull, 1ull, 127ull, 128ull, 255ull, 65537ull, 0x8000000000000000ull}) {
    const Owned<ASN1_INTEGER, ASN1_INTEGER_free> number(ASN1_INTEGER_new());
    ASN1_INTEGER_set_uint64(number.get(), value);
    std::string big_endian;
    for (int shift = 56; shift >= 0; shift -= 8) big_endian.push_back(static_cast<char>(value >> shift));
    EXPECT_EQ(integer(big_endian), to_der(number.get(), i2d_ASN1_INTEGER)) << value;
  }
}

}  // namespace
}  // namespace evercert::pki::der
