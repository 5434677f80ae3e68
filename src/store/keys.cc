// SPDX-License-Identifier: Apache-2.0
#include "store/keys.h"

#include "base/encoding.h"

namespace evercert::store {

std::string certificate_record(std::string_view serial) { return "c/" + std::string(serial); }
std::string account_record(std::string_view id) { return "a/" + std::string(id); }
std::string order_record(std::string_view id) { return "o/" + std::string(id); }
std::string authorization_record(std::string_view id) { return "z/" + std::string(id); }
std::string crl_record(RegionId issuer) { return std::string("l/") + static_cast<char>(issuer.value); }
std::string request_key_record(std::string_view key) { return "k/" + std::string(key); }
std::string account_key_record(std::string_view thumbprint) { return "y/" + std::string(thumbprint); }
std::string order_index_record(std::string_view account_id) { return "u/" + std::string(account_id) + "/"; }
std::string order_index_record(std::string_view account_id, std::string_view order_id) {
  return order_index_record(account_id).append(order_id);
}
std::string membership_record() { return "e/members"; }
std::string configuration_record() { return "e/configuration"; }
std::string epoch_floor_record(RegionId issuer) {
  return std::string(kEpochFloorPrefix) + static_cast<char>(issuer.value);
}

Result<GroupId> home_of_serial(std::string_view serial, std::size_t regions) {
  if (serial.size() != 16) return fail(Code::kInvalid, "a serial number of this CA has 16 bytes");
  const auto region = static_cast<std::uint8_t>(serial[0]);
  if (region == 0 || region > regions) return fail(Code::kInvalid, "the serial number names no region of this cluster");
  return GroupId{region};
}

Result<GroupId> home_of_acme_id(std::string_view id, std::size_t regions) {
  if (id.empty() || id[0] < 'a' || static_cast<std::size_t>(id[0] - 'a') >= regions) {
    return fail(Code::kInvalid, "the identifier names no region of this cluster");
  }
  return GroupId{static_cast<std::uint32_t>(id[0] - 'a' + 1)};
}

char acme_prefix(RegionId region) { return static_cast<char>('a' + region.value - 1); }

RegionId home_of_thumbprint(std::string_view thumbprint, const RegionRoll& founding) {
  // The thumbprint is a SHA-256: any four bytes of it are evenly spread.
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4 && i < thumbprint.size(); ++i) v = v << 8 | static_cast<std::uint8_t>(thumbprint[i]);
  std::vector<RegionId> storing;
  for (std::uint8_t r = 1; r <= founding.count; ++r) {
    if ((founding.witnesses & region_bit(RegionId{r})) == 0) storing.push_back(RegionId{r});
  }
  return storing.at(v % storing.size());
}

std::string account_id_of_thumbprint(std::string_view thumbprint, const RegionRoll& founding) {
  return acme_prefix(home_of_thumbprint(thumbprint, founding)) + to_hex(thumbprint).substr(0, 40);
}

std::string group_prefix(GroupId group) {
  return {static_cast<char>(group.value >> 8), static_cast<char>(group.value & 0xff)};
}

std::string state_key(GroupId group, std::string_view record) { return group_prefix(group).append(record); }

std::vector<std::string> touched_records(const v1::Command& command) {
  switch (command.kind_case()) {
    case v1::Command::kIssue: {
      const auto& issue = command.issue();
      std::vector<std::string> records{certificate_record(issue.certificate().serial())};
      if (!issue.order_id().empty()) records.push_back(order_record(issue.order_id()));
      if (!issue.certificate().request_key().empty()) {
        records.push_back(request_key_record(issue.certificate().request_key()));
      }
      return records;
    }
    case v1::Command::kRevoke:
      return {certificate_record(command.revoke().serial()),
              std::string(kRevocationPrefix).append(command.revoke().serial())};
    case v1::Command::kVoidSerial: return {certificate_record(command.void_serial().serial())};
    case v1::Command::kPutAccount: return {account_record(command.put_account().account().id())};
    case v1::Command::kCreateOrder: {
      const auto& order = command.create_order().order();
      std::vector<std::string> records{order_record(order.id()), order_index_record(order.account_id())};
      for (const auto& a : command.create_order().authorizations()) records.push_back(authorization_record(a.id()));
      return records;
    }
    case v1::Command::kUpdateAuthorization: {
      const auto& a = command.update_authorization().authorization();
      return {authorization_record(a.id()), order_record(a.order_id()), order_index_record(a.account_id())};
    }
    case v1::Command::kUpdateOrder: return {order_record(command.update_order().order().id())};
    case v1::Command::kPutCrl:
      return {crl_record(RegionId{static_cast<std::uint8_t>(command.put_crl().crl().issuer_region())})};
    case v1::Command::kClaimRequestKey: return {request_key_record(command.claim_request_key().request_key())};
    case v1::Command::kClaimAccountKey: return {account_key_record(command.claim_account_key().thumbprint())};
    case v1::Command::kSweep: {
      // Of what goes with an order nobody may ask any more.
      std::vector<std::string> records;
      for (const auto& id : command.sweep().order_ids()) records.push_back(order_record(id));
      for (const auto& key : command.sweep().request_keys()) records.push_back(request_key_record(key));
      return records;
    }
    case v1::Command::kCoordination: return {std::string(kCoordinationRecord)};
    case v1::Command::kChangeReplicas:
    case v1::Command::kFoundRegion:
    case v1::Command::kChangeMembership:
    case v1::Command::kRecordReformation: return {membership_record()};
    case v1::Command::kSetEpochFloor:
    case v1::Command::kAllocateCrlNumber:
    case v1::Command::KIND_NOT_SET: return {};
  }
  return {};
}

}  // namespace evercert::store
