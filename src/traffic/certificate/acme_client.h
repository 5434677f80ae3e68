// SPDX-License-Identifier: Apache-2.0
// A client of ACME (RFC 8555) for a host that wants a certificate for itself. The protocol is the crate instant-acme's
// (rust/acme_bridge); requests go wherever the caller's function takes them.
//
// Proof is by http-01: what a host answers there follows from the account's key alone, so that every host that knows
// the account can answer for the order of any other: answer_to_challenge(). Or by tls-alpn-01 (RFC 8737), where the CA
// says no token: who is asked must have been told what to show.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/task.h"
#include "net/http.h"
#include "pki/certificate.h"
#include "pki/names.h"

namespace evercert::traffic {

struct AcmeRequest {
  std::string method, url;
  net::Headers headers;
  std::string body;
};
// Returns on `on`. An error: nobody has answered.
using AskAcme = std::function<Task<Result<net::HttpResponse>>(Executor& on, AcmeRequest request)>;

// The key of an account: P-256, as RFC 8555 wants every server to take it.
class AcmeAccount {
 public:
  // From PEM (PKCS #8). kInvalid: it is no such key.
  static Result<AcmeAccount> from_pem(const std::string& pem);
  const std::string& key_der() const { return key_der_; }
  // RFC 8555 section 8.3: what is served under a token. nullopt: that is no token.
  std::optional<std::string> answer_to_challenge(std::string_view token) const;

 private:
  std::string key_der_, thumbprint_;
};

// Returns on `on` when whoever the CA may come to shows, to who asks for the DNS name by "acme-tls/1", a certificate
// with that digest (32 bytes).
using ShowProof = std::function<Task<Status>(Executor& on, std::string name, std::string digest)>;

struct CertificateWish {
  std::string directory;              // its URL
  std::vector<std::string> contacts;  // mailto: URLs; none: the account's stay as they are
  std::vector<pki::Name> names;       // DNS names without wildcards, and addresses
  std::string csr_der;
  std::optional<pki::CertificateFacts> replaces;  // RFC 9773 section 5
  // How names can be proved: by http-01, else with `show` by tls-alpn-01. Empty: not by that.
  bool by_http = true;
  ShowProof show = {};
};

// The chain in PEM. kUnavailable: it did not come to that, and why; kExpired: not within `patience`.
Task<Result<std::string>> order_certificate(Executor& on, MonotonicClock& clock, AskAcme ask, AcmeAccount account,
                                            CertificateWish wish, Duration patience);

struct RenewalWindow {
  WallTime start, end;
  Duration ask_again;
};
// When the server wants the certificate renewed (RFC 9773); nullopt: it does not say. Errors as above.
Task<Result<std::optional<RenewalWindow>>> ask_renewal_window(Executor& on, MonotonicClock& clock, AskAcme ask,
                                                              AcmeAccount account, std::string directory,
                                                              pki::CertificateFacts certificate, Duration patience);

}  // namespace evercert::traffic
