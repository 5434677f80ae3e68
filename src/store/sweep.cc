// SPDX-License-Identifier: Apache-2.0
#include "store/sweep.h"

#include "store/keys.h"

namespace evercert::store {

bool is_swept(const v1::Sweep& limits, const v1::Order& order) {
  return order.expires_at_ms() < limits.orders_expired_before_ms();
}

// Without a time: bound by a version that did not write one.
bool is_swept(const v1::Sweep& limits, const v1::ClaimRequestKey& bound) {
  return bound.bound_at_ms() != 0 && bound.bound_at_ms() < limits.keys_bound_before_ms();
}

Result<v1::Sweep> find_swept(const Kv& kv, GroupId group, const SweepLimits& limits, std::size_t most,
                             SweepPlace& place) {
  v1::Sweep found;
  found.set_orders_expired_before_ms(limits.orders_expired_before_ms);
  found.set_keys_bound_before_ms(limits.keys_bound_before_ms);
  std::size_t looked_at = 0;
  // One range after the other, in the order of their names.
  const auto walk = [&](const std::string& prefix, const auto& look) -> Status {
    const std::string first = state_key(group, prefix), end = first + '\xff';
    if (place.key > end || looked_at == most) return {};
    bool sound = true;
    std::string last;
    EC_TRY(
        kv.scan(std::max(place.key, first), end, most - looked_at, [&](std::string_view key, std::string_view value) {
          last = key;
          ++looked_at;
          sound = look(std::string(key.substr(first.size())), value);
          return sound;
        }));
    if (!sound) return fail(Code::kCorrupt, "a stored record does not parse");
    place.key = looked_at == most ? last + '\0' : end;
    return {};
  };
  EC_TRY(walk(request_key_record(""), [&](std::string key, std::string_view value) {
    v1::ClaimRequestKey bound;
    if (!bound.ParseFromArray(value.data(), static_cast<int>(value.size()))) return false;
    if (is_swept(found, bound)) found.add_request_keys(std::move(key));
    return true;
  }));
  EC_TRY(walk(order_record(""), [&](std::string id, std::string_view value) {
    v1::Order order;
    if (!order.ParseFromArray(value.data(), static_cast<int>(value.size()))) return false;
    if (is_swept(found, order)) found.add_order_ids(std::move(id));
    return true;
  }));
  if (looked_at < most) place.key.clear();
  return found;
}

}  // namespace evercert::store
