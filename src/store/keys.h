// SPDX-License-Identifier: Apache-2.0
// Names of records inside the state, and which group is a record's home. Every key begins with its group so that a
// group's snapshot is one range.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/layout.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

// Record names (without the group prefix): what freshen() and the pending index speak of.
std::string certificate_record(std::string_view serial);  // an empty value: the serial number was voided
inline bool is_void(const v1::Certificate& stored) { return stored.serial().empty(); }
std::string account_record(std::string_view id);
std::string order_record(std::string_view id);
std::string authorization_record(std::string_view id);
std::string crl_record(RegionId issuer);
std::string request_key_record(std::string_view key);
std::string account_key_record(std::string_view thumbprint);
// The index of an account's orders, as a whole (for freshen()) and one entry of it. Invalid orders leave it.
std::string order_index_record(std::string_view account_id);
std::string order_index_record(std::string_view account_id, std::string_view order_id);
// No record of the state: entries that revoke are found by it among those that are not applied.
inline constexpr std::string_view kRevocationPrefix = "v/";
// All of coordination's state begins with this; as a record, it is the whole of it.
inline constexpr std::string_view kCoordinationRecord = "x/";
// Who serves (store/membership.h): the record of the global group, and the floors of the home groups, each a decimal
// epoch.
std::string membership_record();
inline constexpr std::string_view kEpochFloorPrefix = "e/floor";
std::string epoch_floor_record(RegionId issuer);
// Who votes in the group (store/configuration.h).
std::string configuration_record();
// What the group's state machine has done (store/state_digest.h).
inline constexpr std::string_view kStateDigestRecord = "h/state";

// Home groups. kInvalid when the identifier does not name a region of this cluster of `regions` regions.
Result<GroupId> home_of_serial(std::string_view serial, std::size_t regions);
// ACME identifiers begin with the home region as one letter, 'a' being region 1.
Result<GroupId> home_of_acme_id(std::string_view id, std::size_t regions);
char acme_prefix(RegionId region);
// Accounts live where the hash of their key's thumbprint says, so that one key is one account in every region. Among
// the regions of the cluster's beginning that store records, for ever: others would move them.
RegionId home_of_thumbprint(std::string_view thumbprint, const RegionRoll& founding);
// The account whose first key this is, should there be one.
std::string account_id_of_thumbprint(std::string_view thumbprint, const RegionRoll& founding);

// Full keys in the state.
std::string group_prefix(GroupId group);  // 2 bytes, big-endian
std::string state_key(GroupId group, std::string_view record);

// The records that a command changes (for the index of what is not yet applied).
std::vector<std::string> touched_records(const v1::Command& command);

}  // namespace evercert::store
