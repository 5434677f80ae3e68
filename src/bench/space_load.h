// SPDX-License-Identifier: Apache-2.0
// Load on a key space by etcd's API, the same for every server of it.
#pragma once

#include <string>
#include <vector>

#include "bench/tools.h"

namespace evercert::bench {

struct SpaceTarget {
  std::vector<std::string> endpoints;  // address:port; clients are spread over them
  std::string ca_file, certificate_file, key_file;
};

// `at_once` puts of distinct keys are under way all the time.
Result<Rate> put_load(const SpaceTarget& target, int at_once, int seconds, int value_bytes);
// `at_once` clients take and give back a lock of their own, again and again; a request is both.
Result<Rate> lock_load(const SpaceTarget& target, int at_once, int seconds);
// Puts at the first endpoint, so many a second, watched at the last: from a put's answer to its event (0 when the event
// came first), and from the moment that it was sent.
struct WatchDelivery {
  Rate from_answer, from_put;
};
Result<WatchDelivery> watch_load(const SpaceTarget& target, int per_second, int seconds);

}  // namespace evercert::bench
