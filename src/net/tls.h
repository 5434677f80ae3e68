// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace evercert::net {

// PEM files of one end of a TLS connection.
struct TlsFiles {
  std::string certificate_chain, private_key;  // empty: no identity (a client that shows none)
  std::string ca_bundle;                       // whom to trust; empty: nobody
};

enum class ClientCertificates { kNone, kOptional, kRequired };

}  // namespace evercert::net
