// SPDX-License-Identifier: Apache-2.0
// What a TLS server shows to whoever asks it for one protocol by one name, and no more: the connection ends with the
// handshake. For proofs that are in the certificate (RFC 8737).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/result.h"
#include "base/task.h"

namespace evercert::net {

struct TlsQuestion {
  std::string address;  // numeric
  std::uint16_t port = 443;
  std::string server_name;  // SNI, whatever it is; not checked against what is shown
  std::string protocol;     // the only one that is offered by ALPN
  Duration connect_timeout = 2s, timeout = 3s;
};

struct TlsShown {
  std::string protocol;     // what the server has chosen; empty: none
  std::string certificate;  // DER of the first one; nobody has checked who signed it
};

// Thread-safe.
class TlsProbe {
 public:
  // Connections leave from `local_address`; empty: any.
  static std::unique_ptr<TlsProbe> create(std::string local_address);
  virtual ~TlsProbe() = default;
  // TLS 1.2 or 1.3. kUnavailable: no connection. kDenied: there is one, but no handshake came of it.
  virtual Task<Result<TlsShown>> ask(Executor& on, TlsQuestion question) = 0;
};

}  // namespace evercert::net
