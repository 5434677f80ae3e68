// SPDX-License-Identifier: Apache-2.0
// The certificate of a server's own names: ordered by ACME, kept on disk, renewed in time, with an OCSP answer to
// staple. What is served meanwhile is up to who reads the files (net/named_certificate.h); when issuing fails, that is
// the one from before.
//
// On disk: `file` holds key and chain (PEM), written as a whole or not at all, for its owner alone; beside it lie OCSP
// answers, one for each serial number, written before the certificate that they are for.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/task_scope.h"
#include "pki/certificate.h"
#include "traffic/certificate/acme_client.h"
#include "traffic/certificate/renewal.h"
#include "traffic/certificate/staple.h"

namespace evercert::traffic {

struct OwnCertificateOptions {
  std::string file;
  std::string account_key;       // a file: PEM, P-256
  std::vector<pki::Name> names;  // DNS names without wildcards, and addresses
  // For these hosts challenges are answered too: the names of others who have the same account.
  std::vector<std::string> hosts;
  std::string directory;  // its URL
  std::vector<std::string> contacts;
  pki::KeyKind key = pki::KeyKind::kP256;
  bool staples = true;  // there is a responder to ask
  bool by_http = true;  // names are proved by http-01, and by tls-alpn-01 where that is not offered
};

class OwnCertificate {
 public:
  using AskOcsp = std::function<Task<Result<std::string>>(Executor& on, std::string request_der)>;
  // All outlive it.
  struct Parts {
    Disk& disk;
    WallClock& wall;
    MonotonicClock& clock;
    Random& random;
    Executor& on;  // where it works, disk included; its thread has ended when this is destroyed
    AskAcme ask;
    AskOcsp ask_ocsp;
    std::function<void()> changed;  // the files are new
    ShowProof show = {};            // empty: no proof by tls-alpn-01
  };

  // Reads what is on disk; what is damaged there is said in the log, and ordered anew. kInvalid, kIo: the account's
  // key; the message says how to make one.
  static Result<std::unique_ptr<OwnCertificate>> open(OwnCertificateOptions options, Parts parts);
  ~OwnCertificate();
  void start();

  // Any thread:
  // Orders a new one now.
  void renew();
  // What is served under `path` to who asks for `host` (with or without a port); nullopt: this is no challenge for us.
  std::optional<std::string> answer_to_challenge(std::string_view host, std::string_view path) const;
  // That host is one of those for which challenges are answered.
  bool answers_for(std::string_view host) const;
  nlohmann::json status() const;
  std::string metrics() const;

 private:
  struct Held {
    pki::CertificateFacts facts;
    std::string issuer_der;  // empty: the chain has none
  };
  // For other threads.
  struct Seen {
    std::optional<Held> held;
    std::optional<WallTime> staple_end;
    WallTime next;
    int failures = 0;
    bool ordering = false;
    std::string last_error, staple_error;
    std::uint64_t renewed = 0, failed = 0, staples = 0, failed_staples = 0;
  };

  OwnCertificate(OwnCertificateOptions options, Parts parts, AcmeAccount account);
  void load();
  Result<Held> examine(const std::string& pem, bool whole) const;
  void hold(Held held);
  void tick();
  Task<void> turn();
  Task<void> order();
  Task<Result<std::string>> issue();
  Task<Status> order_one();
  Task<void> look_at_window();
  Task<void> refresh_staple();
  Task<Result<Staple>> fetch_staple(const Held& of);
  void remove_old_staples();
  void complain();
  std::string staple_file(const pki::CertificateFacts& facts) const;
  StapleSubject subject(const Held& of) const { return {of.facts.serial, of.issuer_der}; }
  double chance() { return static_cast<double>(parts_.random.next() >> 11) * 0x1p-53; }
  void note(const std::function<void(Seen&)>& change);

  const OwnCertificateOptions options_;
  const Parts parts_;
  const AcmeAccount account_;
  Renewal renewal_;
  StapleSchedule staple_;
  std::optional<Held> held_;
  std::string unwritten_;  // key and chain that were issued, and could not be written
  WallTime ask_window_, complained_;
  bool busy_ = false;
  mutable std::mutex mutex_;
  Seen seen_;
  TaskScope work_;
};

}  // namespace evercert::traffic
