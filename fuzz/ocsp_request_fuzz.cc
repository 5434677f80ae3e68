// SPDX-License-Identifier: Apache-2.0
// An OCSP request, as the body of a POST and as the path of a GET.
#include "base/check.h"
#include "fuzz/input.h"
#include "pki/ocsp.h"

namespace evercert {
namespace {

void check(const Result<pki::OcspRequest>& request) {
  if (!request) {
    EC_CHECK(request.error().code == Code::kInvalid, "the client's fault");
    return;
  }
  EC_CHECK(!request->ids.empty() && request->ids.size() <= pki::kMaxOcspIds, "as many as may be asked for");
  for (const auto& id : request->ids) {
    EC_CHECK(!id.der.empty(), "the answer repeats the identifier");
    EC_CHECK(id.issuer_name_hash.size() == id.issuer_key_hash.size(), "one hash algorithm");
    EC_CHECK(id.issuer_name_hash.size() == 20 || id.issuer_name_hash.size() == 32, "SHA-1 or SHA-256");
  }
  if (request->nonce) EC_CHECK(!request->nonce->empty() && request->nonce->size() <= 32, "RFC 8954");
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = evercert::fuzz::text(data, size);
  evercert::check(evercert::pki::parse_ocsp_request(input));
  if (const auto decoded = evercert::pki::decode_ocsp_path(input)) {
    evercert::check(evercert::pki::parse_ocsp_request(*decoded));
  }
  return 0;
}
