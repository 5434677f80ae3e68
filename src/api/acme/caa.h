// SPDX-License-Identifier: Apache-2.0
// Whether a domain lets this CA issue (RFC 8659).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/acme/jws.h"
#include "base/env.h"
#include "net/dns.h"

namespace evercert::api {

class CaaCheck {
 public:
  // `identity`: what records must name; without one, only domains without a relevant record are issued for.
  CaaCheck(net::DnsResolver& dns, std::string identity, MonotonicClock& clock)
      : dns_(dns), identity_(std::move(identity)), clock_(clock) {}
  // nullopt: it does.
  Task<std::optional<AcmeError>> refuse(Executor& on, std::string name, bool wildcard);

 private:
  using Records = std::vector<std::string>;
  struct Known {
    Records records;
    Instant until;
  };
  Task<Result<Records>> records_at(Executor& on, std::string name, bool keep);
  bool allows(const Records& records, bool wildcard) const;

  net::DnsResolver& dns_;
  std::string identity_;
  MonotonicClock& clock_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;  // parents of names that were asked about
};

}  // namespace evercert::api
