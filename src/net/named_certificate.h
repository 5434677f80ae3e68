// SPDX-License-Identifier: Apache-2.0
// A certificate for those who ask for a server by one of the certificate's names (SNI, RFC 6066 section 3), beside the
// one for everybody else; and the OCSP answer that is stapled to it (section 8). For .cc files of net only.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/owned.h"
#include "base/result.h"

namespace evercert::net {

// Of a file; empty when it cannot be read.
std::string contents(const std::string& path);
// Since 1970; 0: there is none, or it cannot be read.
std::int64_t seconds_of(const ASN1_TIME* time);

class NamedCertificate {
 public:
  // `path`: PEM of a key and a chain. An OCSP answer (DER) may lie at `path`.SERIAL.ocsp, the serial number in lower
  // case hexadecimal; one that is damaged or about another certificate is left out and said in the log. kNotFound:
  // there is no file. kInvalid: it is damaged, or key and certificate do not belong together.
  static Result<std::shared_ptr<const NamedCertificate>> load(const std::string& path);

  // `name`: what the client asks for; null when it does not say. Then it is for the certificate if that names
  // `address`. For nobody while it asks for an OCSP answer (RFC 7633) and has none that is good at `now`.
  bool is_for(const char* name, const std::string& address, std::int64_t now) const;
  // For this connection, instead of that of its context. False: memory is short.
  bool give(SSL* ssl) const;
  // For a client that asked for it: an SSL_TLSEXT_ERR_ code. `now`: seconds since 1970.
  int staple(SSL* ssl, std::int64_t now) const;
  std::int64_t expiry() const { return expiry_; }
  const std::string& staple_path() const { return staple_path_; }

 private:
  static void free_chain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); }
  NamedCertificate() = default;
  Status read_chain(const std::string& path);
  Status read_staple();

  Owned<X509, X509_free> certificate_;
  Owned<EVP_PKEY, EVP_PKEY_free> key_;
  Owned<STACK_OF(X509), free_chain> chain_;
  std::string staple_, staple_path_;
  std::int64_t expiry_ = 0, staple_until_ = 0;
  bool must_staple_ = false;
};

}  // namespace evercert::net
