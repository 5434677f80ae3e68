// SPDX-License-Identifier: Apache-2.0
#include "api/acme/host_addresses.h"

namespace evercert::api {

Task<Result<std::vector<std::string>>> host_addresses(Executor& on, net::DnsResolver& dns, TaskScope& scope,
                                                      std::string host) {
  using Addresses = std::vector<std::string>;
  Started<Result<Addresses>> asking(scope, dns.lookup(on, host, net::DnsType::kAaaa));
  auto four = co_await dns.lookup(on, host, net::DnsType::kA);
  const auto six = co_await asking;
  if (!four && !six) co_return four;
  Addresses found;
  if (six && !six->empty()) found.push_back(six->front());
  if (four && !four->empty()) found.push_back(four->front());
  if (found.empty() && !four) co_return four;
  if (found.empty()) co_return fail(Code::kNotFound, host + " has no address");
  co_return found;
}

}  // namespace evercert::api
