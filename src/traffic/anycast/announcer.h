// SPDX-License-Identifier: Apache-2.0
// Whether a site should attract the traffic of an anycast address: only while what serves it there is ready, and not
// again soon after it was not, since each change moves the clients of half a continent (flap damping, RFC 2439 in
// spirit). Pure: checks and a clock go in, a wish comes out; who carries it out is bird.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace evercert::traffic::anycast {

struct AnnounceRules {
  int fall = 2;               // failed checks in a row of one service until the route is withdrawn
  int rise = 3;               // good ones in a row, of each service, until it is announced
  Duration hold = 30s;        // between a withdrawal and the next announcement, at least
  Duration hold_most = 5min;  // doubled up to there when the announcement before it did not last
  Duration lasted = 10min;    // for so long
};

class Announcer {
 public:
  // `services`: all of them must be ready. Withdrawn at first.
  Announcer(AnnounceRules rules, std::vector<std::string> services);

  // A check of a service has ended; `fault` is empty when it was good.
  void checked(std::size_t service, const std::string& fault, Instant now);
  // What is wanted now. Changes with checks and with time; why() says for what reason.
  bool announce(Instant now);
  const std::string& why() const { return why_; }
  std::uint64_t changes() const { return changes_; }
  // Until then a site that is ready is not announced; 0: nothing holds it.
  Duration held(Instant now) const;

 private:
  struct Service {
    std::string name, fault;
    int good = 0, bad = 0;
  };
  bool all_risen() const;

  AnnounceRules rules_;
  std::vector<Service> services_;
  bool announced_ = false;
  std::optional<Instant> withdrawn_, announced_at_;
  Duration hold_;
  std::string why_ = "not checked yet";
  std::uint64_t changes_ = 0;
};

}  // namespace evercert::traffic::anycast
