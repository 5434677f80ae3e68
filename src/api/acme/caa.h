// SPDX-License-Identifier: Apache-2.0
// Whether a domain lets this CA issue (RFC 8659), to this account and by this method (RFC 8657).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/acme/jws.h"
#include "base/env.h"
#include "base/task.h"
#include "net/dns.h"

namespace evercert::api {

struct CaaQuestion {
  std::string name;
  bool wildcard = false;
  std::string account_id;  // its URL, at any host of ours, is what `accounturi` must name
  std::string method;      // of validation
};

// What the closest records (as net::DnsResolver gives them) say. `identity`: what they must name.
bool caa_allows(const std::vector<std::string>& records, std::string_view identity, const CaaQuestion& question);

class CaaCheck {
 public:
  // `identity`: without one, only domains without a relevant record are issued for.
  CaaCheck(net::DnsResolver& dns, std::string identity, MonotonicClock& clock)
      : dns_(dns), identity_(std::move(identity)), clock_(clock) {}
  // nullopt: it does.
  Task<std::optional<AcmeError>> refuse(Executor& on, CaaQuestion question);

 private:
  using Records = std::vector<std::string>;
  struct Known {
    Records records;
    Instant until;
  };
  Task<Result<Records>> records_at(Executor& on, std::string name, bool keep);

  net::DnsResolver& dns_;
  std::string identity_;
  MonotonicClock& clock_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;  // parents of names that were asked about
};

}  // namespace evercert::api
