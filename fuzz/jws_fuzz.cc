// SPDX-License-Identifier: Apache-2.0
// The body of an ACME request, up to and with the verification of its signature; and the name of a certificate.
#include "api/acme/certificate_id.h"
#include "api/acme/jws.h"
#include "base/check.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  const std::string input(fuzz::text(data, size));
  if (const auto id = api::parse_certificate_id(input))
    EC_CHECK(!id->authority_key_id.empty() && id->serial.size() <= 128, "two parts, none of them empty");
  if (const auto jwk = api::parse_jwk(input)) {
    const auto again = api::parse_jwk(jwk->canonical);
    EC_CHECK(again && again->thumbprint == jwk->thumbprint, "the canonical form is one");
  }
  const auto jws = api::parse_jws(input);
  if (!jws) {
    EC_CHECK(jws.error().status == 400 && !jws.error().type.empty(), "the client's fault");
    return 0;
  }
  if (!jws->jwk) return 0;
  EC_CHECK(jws->kid.empty() && jws->thumbprint.size() == 32, "either kid or jwk");
  EC_CHECK(api::parse_jwk(jws->jwk_text).has_value(), "accounts keep the key in this form");
  jws->jwk->verify_jws(jws->algorithm, jws->signing_input, jws->signature);
  return 0;
}
