// SPDX-License-Identifier: Apache-2.0
// Replay nonces (RFC 8555 section 6.5) without shared state: a time, chance and a MAC by a key of the cluster. Every
// region accepts every region's. Each node remembers the ones that it saw used; a replay at *another* node within the
// hour finds a request that names the resource it changes and is checked against its state, so it does nothing a second
// time.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "base/env.h"

namespace evercert::api {

class Nonces {
 public:
  Nonces(std::string cluster_key, MonotonicClock& clock, WallClock& wall, Random& random)
      : key_(std::move(cluster_key)), clock_(clock), wall_(wall), random_(random) {}
  std::string make();
  // True once for each.
  bool use(const std::string& nonce);

 private:
  std::string mac(const std::string& text) const;
  std::string key_;
  MonotonicClock& clock_;
  WallClock& wall_;
  Random& random_;
  std::mutex mutex_;
  // Two generations, each an hour at the most: memory is bounded by the rate of requests.
  std::set<std::string> used_, older_;
  Instant turned_;
};

}  // namespace evercert::api
