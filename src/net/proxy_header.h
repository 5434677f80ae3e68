// SPDX-License-Identifier: Apache-2.0
// The header by which a balancer in front says whose connection it passes on: the PROXY protocol, versions 1 and 2
// (haproxy.org/download/2.9/doc/proxy-protocol.txt). Pure. For .cc files of net only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace evercert::net {

// No header that is accepted is longer. Version 2 could announce 64 KB of extensions; 2 KB hold a client certificate.
inline constexpr std::size_t kLongestProxyHeader = 2048;

struct ProxyHeader {
  enum class State {
    kMore,   // so far it may become one: come again with more of it
    kWrong,  // it is none
    kWhole,
  };
  State state = State::kWrong;
  std::size_t size = 0;  // of the header
  // The client's address, as text. Empty: the balancer speaks for itself (a check of its own), or does not know.
  std::string source;
};

// `bytes`: what the connection began with, so far.
ProxyHeader read_proxy_header(std::string_view bytes);

}  // namespace evercert::net
