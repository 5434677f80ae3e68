// SPDX-License-Identifier: Apache-2.0
// The tls-alpn-01 challenge (RFC 8737; addresses: RFC 8738 section 6): what a host shows in a certificate of its own to
// whoever asks for the protocol "acme-tls/1".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/acme/validator.h"
#include "base/task_scope.h"
#include "net/tls_probe.h"

namespace evercert::api {

inline constexpr std::string_view kAcmeTlsProtocol = "acme-tls/1";

// Whether a certificate (DER) is the proof for this identifier: its subjectAltName has that identifier and nothing
// else, and its critical acmeIdentifier is the digest of the key authorization. nullopt: it is. Pure.
std::optional<AcmeError> check_proof(std::string_view certificate, const ValidationRequest& request);

// Whom to ask for by SNI: the name itself, of an address that under in-addr.arpa or ip6.arpa.
std::string server_name_of(const ValidationRequest& request);

class TlsAlpn01 {
 public:
  TlsAlpn01(net::DnsResolver& dns, net::TlsProbe& tls, std::uint16_t port) : dns_(dns), tls_(tls), port_(port) {}
  // nullopt: proved. Otherwise the problem: connection, dns, tls, unauthorized, incorrectResponse.
  Task<std::optional<AcmeError>> check(Executor& on, const ValidationRequest& request);

 private:
  net::DnsResolver& dns_;
  net::TlsProbe& tls_;
  const std::uint16_t port_;
  TaskScope lookups_;
};

}  // namespace evercert::api
