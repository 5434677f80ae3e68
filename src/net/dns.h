// SPDX-License-Identifier: Apache-2.0
// DNS as far as ACME needs it: a stub resolver for validation, and the demo's small server for names under .test. The
// wire format is ldns'.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "base/task.h"

namespace evercert::net {

enum class DnsType { kA, kAaaa, kTxt, kCaa, kNs };

class DnsResolver {
 public:
  // `server`: "address:port"; empty: as /etc/resolv.conf says. Queries leave from `local_address` (empty: any).
  // `at_once`: so many questions are asked beside each other.
  static std::unique_ptr<DnsResolver> create(std::string server, std::string local_address, int at_once = 8);
  virtual ~DnsResolver() = default;
  // Addresses as text; TXT strings joined; CAA as "flags tag value". Empty: no such record. kUnavailable: no answer, or
  // SERVFAIL.
  virtual Task<Result<std::vector<std::string>>> lookup(Executor& on, std::string name, DnsType type) = 0;
};

// Answers A for every name under .test with `answer`, says that the root has no records, and refuses the rest. UDP, one
// thread.
class DemoDns {
 public:
  static Result<std::unique_ptr<DemoDns>> start(const std::string& address, std::uint16_t port, std::string answer);
  virtual ~DemoDns() = default;
};

}  // namespace evercert::net
