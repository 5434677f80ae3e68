// SPDX-License-Identifier: Apache-2.0
// A server of HTTP/1.1, plain and over TLS 1.2 and 1.3, and of HTTP/2 (RFC 9113) over TLS where the client asks for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/address_prefix.h"
#include "net/http.h"
#include "net/tls.h"

namespace evercert::net {

class AlpnProofs;  // net/alpn_proofs.h

struct HttpListener {
  std::string address;
  std::uint16_t port = 0;  // 0: any free one
  bool tls = false;
  TlsFiles files;
  ClientCertificates client_certificates = ClientCertificates::kNone;
  // A file of 32 random bytes or more. Servers that share it resume each other's TLS sessions, also after a restart.
  // Empty: sessions are resumed by this process alone.
  std::string ticket_secret = {};
  // Balancers in front: what comes from these addresses begins with a header of the PROXY protocol (version 1 or 2),
  // before TLS, and the client is whom it names. Everybody else speaks for himself.
  std::vector<AddressPrefix> proxies = {};
  // A file with a key and a chain, for clients that ask by a name in it; `files` are for everybody else. It may be
  // missing until there is one (net/named_certificate.h, also about its OCSP answer).
  std::string named_certificate = {};
  // For CAs that look by tls-alpn-01; null: none do.
  std::shared_ptr<const AlpnProofs> proofs = {};
};

struct HttpServerOptions {
  std::vector<HttpListener> listeners;
  int threads = 1;
  Duration busy_poll = Duration{0};  // of each of them (net/asio_runtime.h)
  std::size_t max_body_bytes = 256 * 1024;
  // Larger bodies, up to so many bytes, come in pieces (HttpRequest::source). 0: none do.
  std::uint64_t max_body_in_pieces = 0;
  std::uint32_t max_header_bytes = 16 * 1024;
  Duration header_timeout = 10s;  // a whole request must arrive within this
  Duration idle_timeout = 75s;    // of a kept-alive connection
  // An answer must get on by `least_write_rate` bytes a second on average in each period of this length.
  Duration write_timeout = 30s;
  std::size_t least_write_rate = 256;
  Duration drain_idle = 1s;       // a kept connection without a request is closed so long after drain()
  Duration reload_interval = 5s;  // certificates and ticket secrets are looked at so often
  std::string access_log = {};    // a file, or "-" for standard output; empty: none (net/access_log.h)
  // A Unix socket (net/handover.h). When a server runs behind it, this one takes its listening sockets over, and that
  // one's handed_over() becomes true: it is to drain and end. Empty: no server is replaced, and none replaces this one.
  std::string handover = {};
  std::uint32_t max_streams = 128;  // of one HTTP/2 connection at the same time, also for handlers of streams given up
  std::size_t max_connections = 4096;          // beyond, new ones are closed at once
  std::size_t max_connections_per_client = 0;  // the same for one IPv4 address, or /64 of IPv6; 0: no limit
};

class HttpServer {
 public:
  // kIo: a port is taken; kInvalid: a TLS file is damaged (the message names it).
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, HttpHandler handler);
  virtual ~HttpServer() = default;
  virtual std::uint16_t port(std::size_t listener) const = 0;
  // Looks at certificates and ticket secrets now: what is whole is taken over, without a connection that ends. Opens
  // the access log anew.
  virtual void reload() = 0;
  // The same without the access log.
  virtual void reload_certificates() = 0;
  // For Prometheus.
  virtual std::string metrics() const = 0;
  // Another server has taken the listening sockets over.
  virtual bool handed_over() const = 0;
  // Accepts nothing new, answers what is under way with `Connection: close` or GOAWAY, and waits until all connections
  // have ended, at most for `patience`.
  virtual void drain(Duration patience) = 0;
  // Drains, then ends the threads, cuts the connections and destroys handlers that still wait, with all that they hold:
  // afterwards what handlers use may go. The executors that they were given stay as long as the server, and what is
  // posted to them is dropped. The destructor does it too, without patience.
  virtual void stop(Duration patience) = 0;
};

}  // namespace evercert::net
