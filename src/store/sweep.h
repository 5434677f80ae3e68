// SPDX-License-Identifier: Apache-2.0
// What time has ended and nobody may ask for any more: orders with their authorizations, and idempotency keys. Removed
// by a command (v1::Sweep) that names it; here is how it is found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "store/kv/kv.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

struct SweepLimits {
  std::int64_t orders_expired_before_ms = 0;
  std::int64_t keys_bound_before_ms = 0;
};

// Where a walk over a group's records goes on. Empty: at the first.
struct SweepPlace {
  std::string key;
};

// Looks at up to `most` records of `group` from `place` on and names those beyond the limits. At the end of the group
// the walk begins anew with the next call.
Result<v1::Sweep> find_swept(const Kv& kv, GroupId group, const SweepLimits& limits, std::size_t most,
                             SweepPlace& place);

// Whether the rule of v1::Sweep lets go of the record.
bool is_swept(const v1::Sweep& limits, const v1::Order& order);
bool is_swept(const v1::Sweep& limits, const v1::ClaimRequestKey& bound);

}  // namespace evercert::store
