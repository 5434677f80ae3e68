// SPDX-License-Identifier: Apache-2.0
// The TLS side of a listener: TLS 1.2 and 1.3, no early data, certificates that may change while it serves, sessions
// that are resumed by tickets. For .cc files of net only.
//
// A session is resumed when its ticket can be read (TicketKeys), is younger than kSessionSeconds, and was made by a
// listener that trusts the same CAs and asks for client certificates in the same way.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "base/owned.h"
#include "base/result.h"
#include "net/alpn_proofs.h"
#include "net/named_certificate.h"
#include "net/ticket_keys.h"
#include "net/tls.h"

namespace evercert::net {

class ServerTls {
 public:
  static constexpr long kSessionSeconds = 2 * 3600;

  struct Options {
    TlsFiles files;
    ClientCertificates clients = ClientCertificates::kNone;
    std::string ticket_secret;  // a file; empty: a secret of this process alone
    // Beside the certificate of `files`: the path of a NamedCertificate. It may come later, and go. Empty: none.
    std::string named;
    std::string address = {};  // of the listener
    std::shared_ptr<const AlpnProofs> proofs = {};
  };
  // kInvalid: a file is damaged; the message names it.
  static Result<std::shared_ptr<ServerTls>> load(Options options);

  // For a new connection; null when memory is short. Any thread.
  SSL* make() const;

  // Takes over what has changed in the files. What is damaged, does not fit together or has expired is said in the log,
  // once, and the old stays. One thread.
  void refresh();

  // Any thread:
  std::int64_t certificate_expiry() const { return expiry_; }  // seconds since 1970
  std::uint64_t reloads() const { return reloads_; }
  std::uint64_t failed_reloads() const { return failures_; }
  const Options& options() const { return options_; }

 private:
  using Context = Owned<SSL_CTX, SSL_CTX_free>;

  explicit ServerTls(Options options);
  Result<Context> read(std::int64_t& expiry) const;
  void read_secret();
  std::string seen() const;
  void refresh_named();
  std::shared_ptr<const NamedCertificate> named() const;
  static int choose_certificate(SSL* ssl, void* self);
  static int choose_staple(SSL* ssl, void* self);
  static int look_at_hello(SSL* ssl, int* alert, void* self);

  const Options options_;
  std::unique_ptr<TicketKeys> tickets_;
  mutable std::mutex mutex_;
  Context context_;
  std::string seen_, seen_named_;  // of the files, when they were read last
  std::shared_ptr<const NamedCertificate> named_;
  std::atomic<std::int64_t> expiry_{0};
  std::atomic<std::uint64_t> reloads_{0}, failures_{0};
};

}  // namespace evercert::net
