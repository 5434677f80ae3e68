// SPDX-License-Identifier: Apache-2.0
#include "api/acme/tls_alpn01.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "api/acme/host_addresses.h"
#include "base/encoding.h"
#include "pki/openssl.h"

namespace evercert::api {
namespace {

constexpr const char* kAcmeIdentifier = "1.3.6.1.5.5.7.1.31";
constexpr Duration kTryAnother = 500ms;  // a connection that takes longer, when there is another address

using ObjectPtr = pki::Owned<ASN1_OBJECT, ASN1_OBJECT_free>;
using OctetsPtr = pki::Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;

std::string_view text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

// Of an address, in network order; empty: it is none.
std::string octets_of(const std::string& address) {
  std::array<char, 16> bytes{};
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) return {bytes.data(), 4};
  if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) return {bytes.data(), 16};
  return {};
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

AcmeError unauthorized(std::string detail) { return {403, "unauthorized", std::move(detail)}; }

// Section 3: exactly one, of the identifier's kind.
std::optional<AcmeError> check_names(const X509* certificate, const ValidationRequest& request) {
  int critical = 0;
  const pki::GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  if (!names) return unauthorized("the certificate has not one subjectAltName");
  if (sk_GENERAL_NAME_num(names.get()) != 1)
    return unauthorized("the certificate names more than " + request.identifier);
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  const bool right = request.identifier_type == "ip"
                         ? name->type == GEN_IPADD && text_of(name->d.iPAddress) == octets_of(request.identifier)
                         : name->type == GEN_DNS && same_name(text_of(name->d.dNSName), request.identifier);
  if (!right) return unauthorized("the certificate is not for " + request.identifier);
  return std::nullopt;
}

}  // namespace

std::optional<AcmeError> check_proof(std::string_view der, const ValidationRequest& request) {
  const unsigned char* at = pki::bytes(der);
  const pki::X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!certificate || at != pki::bytes(der) + der.size()) return unauthorized("what is shown is no certificate");
  if (auto wrong = check_names(certificate.get(), request)) return wrong;
  const ObjectPtr identifier(OBJ_txt2obj(kAcmeIdentifier, 1));
  const int place = X509_get_ext_by_OBJ(certificate.get(), identifier.get(), -1);
  if (place < 0) return unauthorized("the certificate has no acmeIdentifier");
  if (X509_get_ext_by_OBJ(certificate.get(), identifier.get(), place) >= 0)
    return unauthorized("the certificate has more than one acmeIdentifier");
  X509_EXTENSION* extension = X509_get_ext(certificate.get(), place);
  if (X509_EXTENSION_get_critical(extension) != 1)
    return unauthorized("the certificate's acmeIdentifier is not critical");
  const std::string_view value = text_of(X509_EXTENSION_get_data(extension));
  const unsigned char* from = pki::bytes(value);
  const OctetsPtr digest(d2i_ASN1_OCTET_STRING(nullptr, &from, static_cast<long>(value.size())));
  ERR_clear_error();
  const std::string wanted = sha256(request.key_authorization);
  if (!digest || from != pki::bytes(value) + value.size() || text_of(digest.get()) != wanted)
    return AcmeError{403, "incorrectResponse",
                     "the certificate's acmeIdentifier is not the key authorization's digest"};
  return std::nullopt;
}

std::string server_name_of(const ValidationRequest& request) {
  if (request.identifier_type != "ip") return request.identifier;
  const std::string octets = octets_of(request.identifier);
  std::string out;
  for (std::size_t i = octets.size(); i-- > 0;) {
    const auto octet = static_cast<std::uint8_t>(octets[i]);
    if (octets.size() == 4) {
      out += std::to_string(octet) + ".";
    } else {
      out += {"0123456789abcdef"[octet & 15], '.', "0123456789abcdef"[octet >> 4], '.'};
    }
  }
  return out + (octets.size() == 4 ? "in-addr.arpa" : "ip6.arpa");
}

Task<std::optional<AcmeError>> TlsAlpn01::check(Executor& on, const ValidationRequest& request) {
  std::vector<std::string> addresses{request.identifier};
  if (request.identifier_type != "ip") {
    auto found = co_await host_addresses(on, dns_, lookups_, request.identifier);
    if (!found) co_return AcmeError{400, "dns", found.error().message};
    addresses = std::move(*found);
  }
  Result<net::TlsShown> shown = fail(Code::kUnavailable, "no address");
  for (const std::string& address : addresses) {
    net::TlsQuestion question{address, port_, server_name_of(request), std::string(kAcmeTlsProtocol)};
    if (&address != &addresses.back()) question.connect_timeout = kTryAnother;
    shown = co_await tls_.ask(on, std::move(question));
    if (shown || shown.error().code != Code::kUnavailable) break;
  }
  if (!shown)
    co_return AcmeError{400, shown.error().code == Code::kDenied ? "tls" : "connection", shown.error().message};
  if (shown->protocol != kAcmeTlsProtocol)
    co_return unauthorized(request.identifier + " does not speak " + std::string(kAcmeTlsProtocol));
  co_return check_proof(shown->certificate, request);
}

}  // namespace evercert::api
