// SPDX-License-Identifier: Apache-2.0
// The edge's own certificate (traffic/certificate): the thread that it is kept on, and the ways of its requests. Those
// to the cluster's own directory take the way of every request, without a connection to itself: to a node of this
// region, or of another one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/os/system.h"
#include "base/task_scope.h"
#include "net/alpn_proofs.h"
#include "net/dns.h"
#include "net/http_client.h"
#include "traffic/certificate/own_certificate.h"
#include "traffic/edge/edge.h"
#include "traffic/edge/forwarder.h"

namespace evercert::traffic {

// Where an edge tells another one what to show to a CA that looks by tls-alpn-01.
inline constexpr std::string_view kProofPath = "/edge/proof";

class CertificateDesk {
 public:
  // `changed`: the files are new. The forwarder outlives it.
  static Result<std::unique_ptr<CertificateDesk>> open(const EdgeOptions& options, Forwarder& forwarder,
                                                       MonotonicClock& clock, Random& random,
                                                       std::function<void()> changed);
  ~CertificateDesk();
  void start() { own_->start(); }
  // Ends its thread and what waits on it. The executor itself stays until this is destroyed: copies of requests that
  // are under way with others still know it.
  void stop();
  // What the server is to show to CAs that look by tls-alpn-01.
  std::shared_ptr<const net::AlpnProofs> proofs() const { return proofs_; }
  // What another edge has asked for: that this one shows a proof, too. Any thread.
  net::HttpResponse told(const std::string& body);
  OwnCertificate& own() { return *own_; }
  const OwnCertificate& own() const { return *own_; }

 private:
  CertificateDesk(const EdgeOptions& options, Forwarder& forwarder);
  Task<Result<net::HttpResponse>> ask(Executor& on, AcmeRequest request);
  Task<Result<net::HttpResponse>> ask_myself(Executor& on, AcmeRequest request, std::string host, std::string target);
  Task<Status> show(Executor& on, std::string name, std::string digest);
  Task<Result<std::string>> ask_ocsp(Executor& on, std::string request_der);

  const EdgeOptions& options_;
  Forwarder& forwarder_;
  std::unique_ptr<os::ThreadExecutor> thread_;
  const std::shared_ptr<net::AlpnProofs> proofs_ = std::make_shared<net::AlpnProofs>();
  TaskScope telling_;  // other edges what to show
  std::unique_ptr<net::HttpClient> edges_;
  // For a directory of somebody else's.
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::DnsResolver> resolver_;
  std::unique_ptr<OwnCertificate> own_;
};

}  // namespace evercert::traffic
