// SPDX-License-Identifier: Apache-2.0
// What a server shows to a CA that looks by tls-alpn-01 (RFC 8737): to who offers the protocol "acme-tls/1" alone and
// asks for a name, the certificate that proves that name, and nothing after the handshake. For everybody else there are
// no such certificates.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/owned.h"
#include "base/result.h"

namespace evercert::net {

inline constexpr std::string_view kProofProtocol = "acme-tls/1";

// Any thread.
class AlpnProofs {
 public:
  // Shown for `name` (DNS, without regard to case) from now on, for kKept at most, instead of what was shown for it
  // before. `pem`: a private key and its certificate. kInvalid: it is no such thing. kConflict: kMost names have one.
  static constexpr std::chrono::minutes kKept{10};
  static constexpr std::size_t kMost = 1024;
  Status show(std::string_view name, const std::string& pem);
  // For this connection, instead of the certificate of its context. False: there is none for `name`.
  bool give(SSL* ssl, std::string_view name) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Proof {
    Owned<X509, X509_free> certificate;
    Owned<EVP_PKEY, EVP_PKEY_free> key;
    Clock::time_point until;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Proof, std::less<>> proofs_;
};

// In a ClientHello callback: the client offers that protocol alone. Its connection resumes nothing and asks for no
// certificate of the client from then on; is_proof() knows it.
bool asks_for_proof(SSL* ssl);
bool is_proof(const SSL* ssl);

}  // namespace evercert::net
