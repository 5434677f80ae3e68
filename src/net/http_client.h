// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 client with kept connections. Every connection is bound to the local address given, so that a packet
// filter can tell regions apart.
#pragma once

#include <memory>
#include <string>

#include "net/http.h"
#include "net/tls.h"

namespace evercert::net {

struct HttpTarget {
  std::string address;  // numeric
  std::uint16_t port = 0;
  bool tls = false;
  std::string server_name;  // expected in the certificate, and SNI
  // Whoever answers will do, whatever certificate it shows: for answers that prove themselves.
  bool any_certificate = false;
};

struct HttpClientOptions {
  std::string local_address;  // empty: any; of targets of its family
  TlsFiles tls;
  std::size_t idle_per_target = 64;
  Duration idle_timeout = 30s;
};

struct HttpCall {
  HttpTarget target;
  std::string method = "GET", path = "/";
  Headers headers;  // Host is added when missing
  std::string body;
  // Instead of `body`, in pieces: on an executor of an HttpServer alone. Nothing is asked of it before there is a
  // connection that has taken the header. Each piece begins `timeout` anew.
  std::shared_ptr<BodySource> source = {};
  std::optional<std::uint64_t> length = {};
  // On an executor of an HttpServer: an answer larger than this, or of a length that was not said, comes in pieces
  // (HttpResponse::source), each within `timeout`. 0: it comes whole.
  std::size_t whole_below = 0;
  Duration connect_timeout = 2s;
  Duration timeout = 10s;
  std::size_t max_response_bytes = 16 << 20;
  // Emulated WAN: the call waits this long before it leaves, as if the way there and back took it.
  Duration emulated_round_trip{0};
};

// Thread-safe. Calls made from an executor of an HttpServer run on that server's thread.
class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> create(HttpClientOptions options);
  virtual ~HttpClient() = default;
  // kUnavailable: the request surely was not processed (no connection, or it broke before anything was sent).
  // kUnknownOutcome: it may have been.
  virtual Task<Result<HttpResponse>> fetch(Executor& on, HttpCall call) = 0;
};

}  // namespace evercert::net
