// SPDX-License-Identifier: Apache-2.0
// Reading the key space: as it is, and as it was at any revision since the compacted one.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "coordination/layout.h"
#include "coordination/proto/coordination.pb.h"
#include "coordination/state.h"

namespace evercert::coordination {

// Keys that begin with this belong to the cluster itself: nobody reads or writes them through the interfaces.
inline constexpr std::string_view kReservedPrefix = "evercert.internal/";
inline bool is_reserved(std::string_view key) { return key.starts_with(kReservedPrefix); }

Result<Meta> read_meta(const View& view);
Result<std::optional<mvccpb::KeyValue>> find_key(const View& view, std::string_view key);
// NONE, or why a read at `revision` (0: now) cannot be answered.
v1::Refusal check_revision(const Meta& meta, std::int64_t revision);

// Answers a range request whose revision was checked. The header is left to the caller.
Result<etcdserverpb::RangeResponse> read_range(const View& view, const etcdserverpb::RangeRequest& request);

Result<std::optional<v1::Lease>> find_lease(const View& view, std::int64_t id);
Result<std::vector<v1::Lease>> list_leases(const View& view);
Result<std::vector<std::string>> attached_keys(const View& view, std::int64_t lease);

// Calls `each` for every event of revision `from` and later, in order, until it returns false.
Status read_history(const View& view, std::int64_t from,
                    const std::function<bool(std::int64_t revision, mvccpb::Event event)>& each);

}  // namespace evercert::coordination
