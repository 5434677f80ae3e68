// SPDX-License-Identifier: Apache-2.0
// What a connection begins with where a balancer's header is expected.
#include "base/address_prefix.h"
#include "base/check.h"
#include "fuzz/input.h"
#include "net/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  using State = net::ProxyHeader::State;
  const std::string_view bytes = fuzz::text(data, size);
  const auto header = net::read_proxy_header(bytes);
  if (header.state == State::kMore) EC_CHECK(size < net::kLongestProxyHeader, "what waits for more is bounded");
  if (header.state != State::kWhole) return 0;
  EC_CHECK(header.size <= size && header.size <= net::kLongestProxyHeader, "it lies in what came");
  EC_CHECK(header.source.empty() || AddressPrefix::parse(header.source).has_value(), "the source is an address");
  for (std::size_t some = 0; some < header.size; ++some)
    EC_CHECK(net::read_proxy_header(bytes.substr(0, some)).state == State::kMore, "how it was cut makes no difference");
  return 0;
}
