// SPDX-License-Identifier: Apache-2.0
#include "api/acme/certificate_id.h"

#include "base/encoding.h"

namespace evercert::api {
namespace {

constexpr std::size_t kLongestId = 128;

}  // namespace

AcmeResult<CertificateId> parse_certificate_id(std::string_view text) {
  const auto dot = text.find('.');
  const bool two = dot != std::string_view::npos && text.size() <= kLongestId;
  const auto key = from_base64url(two ? text.substr(0, dot) : "");
  auto serial = from_base64url(two ? text.substr(dot + 1) : "");
  if (!key || key->empty() || !serial || serial->empty())
    return std::unexpected(AcmeError{400, "malformed",
                                     "a certificate is named by its authority key identifier and its serial number, in "
                                     "base64url with a dot between them"});
  serial->erase(
      0, serial->find_first_not_of('\0') == std::string::npos ? serial->size() : serial->find_first_not_of('\0'));
  return CertificateId{*key, std::move(*serial)};
}

}  // namespace evercert::api
