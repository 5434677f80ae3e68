// SPDX-License-Identifier: Apache-2.0
#include "store/catalog.h"

#include <charconv>

#include "coordination/keyspace.h"
#include "store/coordination_state.h"
#include "store/keys.h"
#include "store/membership.h"
#include "store/standby_duty.h"
#include "store/sweep.h"

namespace evercert::store {
namespace {

v1::Outcome refused(Code code, std::string message) {
  v1::Outcome outcome;
  outcome.set_code(1 + static_cast<std::uint32_t>(code));
  outcome.set_message(std::move(message));
  return outcome;
}

v1::Outcome repeated(std::uint64_t number = 0) {
  v1::Outcome outcome;
  outcome.set_repeated_request(true);
  outcome.set_number(number);
  return outcome;
}

v1::Outcome numbered(std::uint64_t number) {
  v1::Outcome outcome;
  outcome.set_number(number);
  return outcome;
}

class Applier {
 public:
  Applier(const CatalogOptions& options, GroupId group, std::int64_t proposed_at_ms, Transaction& state,
          AppliedChanges& changes)
      : options_(options), group_(group), proposed_at_ms_(proposed_at_ms), state_(state), changes_(changes) {}

  Result<v1::Outcome> issue(v1::IssueCertificate& command);
  Result<v1::Outcome> revoke(const v1::RevokeCertificate& command);
  Result<v1::Outcome> void_serial(const v1::VoidSerial& command);
  Result<v1::Outcome> put_account(const v1::PutAccount& command);
  Result<v1::Outcome> create_order(const v1::CreateOrder& command);
  Result<v1::Outcome> update_authorization(const v1::UpdateAuthorization& command);
  Result<v1::Outcome> update_order(const v1::UpdateOrder& command);
  Result<v1::Outcome> allocate_crl_number(const v1::AllocateCrlNumber& command);
  Result<v1::Outcome> put_crl(const v1::PutCrl& command);
  Result<v1::Outcome> claim(const v1::ClaimRequestKey& command);
  Result<v1::Outcome> claim_account_key(const v1::ClaimAccountKey& command);
  Result<v1::Outcome> sweep(const v1::Sweep& command);
  Result<v1::Outcome> coordinate(const std::string& bytes);
  Result<v1::Outcome> change_membership(const v1::ChangeMembership& command);
  Result<v1::Outcome> set_epoch_floor(const v1::SetEpochFloor& command);
  Result<v1::Outcome> record_reformation(const v1::Reformation& command);
  Result<v1::Outcome> change_replicas(const v1::ChangeReplicas& command);
  Result<std::optional<v1::Outcome>> refuse_replaced(const std::string& lock, std::int64_t token);
  Result<v1::Outcome> found_region(const v1::FoundRegion& command);

 private:
  // nullopt: no such record. kCorrupt: stored bytes that do not parse.
  template <class Record>
  Result<std::optional<Record>> load(const std::string& record) const {
    EC_ASSIGN(const auto bytes, state_.get(state_key(group_, record)));
    if (!bytes) return std::optional<Record>{};
    Record parsed;
    if (!parsed.ParseFromString(*bytes)) return fail(Code::kCorrupt, "a stored record does not parse");
    return std::optional<Record>{std::move(parsed)};
  }
  template <class Record>
  void store(const std::string& record, const Record& value) {
    state_.put(state_key(group_, record), value.SerializeAsString());
  }
  Result<std::uint64_t> number(const std::string& record) const {
    EC_ASSIGN(const auto bytes, state_.get(state_key(group_, record)));
    std::uint64_t value = 0;
    if (bytes && std::from_chars(bytes->data(), bytes->data() + bytes->size(), value).ec != std::errc{}) {
      return fail(Code::kCorrupt, "a stored number does not parse");
    }
    return value;
  }
  void set_number(const std::string& record, std::uint64_t value) {
    state_.put(state_key(group_, record), std::to_string(value));
  }
  template <class Make>
  Result<v1::Outcome> with_membership(Make make);
  Result<std::optional<v1::Outcome>> serial_taken(const v1::Certificate& wanted) const;
  Result<v1::Outcome> finish_order(const v1::IssueCertificate& command, v1::Order* finished) const;
  // The answer to what was signed by `issuer` in an epoch before its fence; nullopt: it may be stored.
  Result<std::optional<v1::Outcome>> fenced(std::uint32_t issuer, std::uint64_t epoch) const;

  const CatalogOptions& options_;
  GroupId group_;
  std::int64_t proposed_at_ms_;
  Transaction& state_;
  AppliedChanges& changes_;
};

// The order as it will be when `command` is stored; an Outcome with a code or a repeated request stops the issuance.
Result<v1::Outcome> Applier::finish_order(const v1::IssueCertificate& command, v1::Order* finished) const {
  EC_ASSIGN(auto order, load<v1::Order>(order_record(command.order_id())));
  if (!order) return refused(Code::kNotFound, "the order does not exist");
  if (order->status() == "valid" && options_.bug != Bug::kFinalizeTwice) {
    auto outcome = repeated();
    outcome.set_serial(order->certificate_serial());
    return outcome;
  }
  if (order->status() != "valid" && order->status() != "ready" && order->status() != "processing") {
    return refused(Code::kConflict, "the order is " + order->status() + ", not ready");
  }
  order->set_status("valid");
  order->set_certificate_serial(command.certificate().serial());
  order->set_version(order->version() + 1);
  *finished = std::move(*order);
  return v1::Outcome{};
}

// nullopt: the serial number is free. An Outcome with a code: it was voided, or something else has it.
Result<std::optional<v1::Outcome>> Applier::serial_taken(const v1::Certificate& wanted) const {
  EC_ASSIGN(const auto bytes, state_.get(state_key(group_, certificate_record(wanted.serial()))));
  if (!bytes) return std::optional<v1::Outcome>{};
  if (bytes->empty()) return refused(Code::kConflict, "the serial number was voided");
  v1::Certificate existing;
  if (!existing.ParseFromString(*bytes)) return fail(Code::kCorrupt, "a stored record does not parse");
  // The same command once more, or the same request: an edge chooses the serial number of what it may have to repeat.
  const bool same_request = !wanted.request_digest().empty() && existing.request_digest() == wanted.request_digest();
  if (existing.der() != wanted.der() && !same_request) return refused(Code::kConflict, "the serial number is in use");
  auto outcome = repeated();
  outcome.set_serial(wanted.serial());
  return std::optional(std::move(outcome));
}

Result<std::optional<v1::Outcome>> Applier::fenced(std::uint32_t issuer, std::uint64_t epoch) const {
  const RegionId region{static_cast<std::uint8_t>(issuer)};
  std::uint64_t floor = 0;
  if (options_.floors != nullptr) {
    floor = options_.floors->of(group_, region);
  } else {
    EC_ASSIGN(floor, number(epoch_floor_record(region)));
  }
  if (epoch >= floor || options_.bug == Bug::kIgnoreFloor) return std::optional<v1::Outcome>{};
  return std::optional(refused(Code::kConflict, below_floor(region, epoch, floor)));
}

Result<v1::Outcome> Applier::issue(v1::IssueCertificate& command) {
  auto& certificate = *command.mutable_certificate();
  const auto home = home_of_serial(certificate.serial(), kMostRegions);
  if (!home || *home != group_) return refused(Code::kInvalid, "this group is not the home of the serial number");
  EC_ASSIGN(auto taken, serial_taken(certificate));
  if (taken && options_.bug != Bug::kReissueRevoked) return std::move(*taken);
  v1::Order finished;
  if (!command.order_id().empty()) {
    EC_ASSIGN(auto stop, finish_order(command, &finished));
    if (stop.code() != 0 || stop.repeated_request()) return stop;
  }
  EC_ASSIGN(auto too_old, fenced(certificate.issuer_region(), certificate.epoch()));
  if (too_old) return std::move(*too_old);
  if (!command.order_id().empty()) store(order_record(command.order_id()), finished);
  if (const std::string& key = certificate.request_key(); !key.empty()) {
    // Who has the key is decided by the global group (ClaimRequestKey); this says who was first in this group.
    EC_ASSIGN(const auto first, load<v1::ClaimRequestKey>(request_key_record(key)));
    if (!first) {
      v1::ClaimRequestKey bound;
      bound.set_serial(certificate.serial());
      bound.set_request_digest(certificate.request_digest());
      bound.set_bound_at_ms(proposed_at_ms_);
      store(request_key_record(key), bound);
    }
  }
  store(certificate_record(certificate.serial()), certificate);
  EC_ASSIGN(const auto count, number(certificate_count_record()));
  set_number(certificate_count_record(), count + 1);
  v1::Outcome outcome;
  outcome.set_serial(certificate.serial());
  changes_.certificates.push_back(std::move(certificate));
  return outcome;
}

Result<v1::Outcome> Applier::revoke(const v1::RevokeCertificate& command) {
  EC_ASSIGN(auto certificate, load<v1::Certificate>(certificate_record(command.serial())));
  if (!certificate || is_void(*certificate)) return refused(Code::kNotFound, "no certificate has this serial number");
  if (certificate->revoked()) {
    if (!command.request_id().empty() && certificate->revoke_request() == command.request_id()) return repeated();
    return refused(Code::kConflict, "the certificate is already revoked");
  }
  certificate->set_revoked(true);
  certificate->set_revoked_at_ms(command.revoked_at_ms());
  certificate->set_reason(command.reason());
  certificate->set_revoked_by(command.by());
  certificate->set_revoke_request(command.request_id());
  store(certificate_record(command.serial()), *certificate);
  const RegionId issuer{static_cast<std::uint8_t>(certificate->issuer_region())};
  state_.put(state_key(group_, revoked_index_record(issuer, command.serial())),
             std::to_string(certificate->not_after()));
  changes_.certificates.push_back(std::move(*certificate));
  return v1::Outcome{};
}

Result<v1::Outcome> Applier::void_serial(const v1::VoidSerial& command) {
  const std::string record = certificate_record(command.serial());
  EC_ASSIGN(const auto existing, load<v1::Certificate>(record));
  if (existing && !is_void(*existing)) return refused(Code::kConflict, "the serial number is in use");
  state_.put(state_key(group_, record), "");
  return v1::Outcome{};
}

Result<v1::Outcome> Applier::put_account(const v1::PutAccount& command) {
  const std::string record = account_record(command.account().id());
  EC_ASSIGN(const auto existing, load<v1::Account>(record));
  v1::Account next = command.account();
  next.set_version(command.expected_version() + 1);
  if (existing && existing->SerializeAsString() == next.SerializeAsString()) return repeated(next.version());
  if ((existing ? existing->version() : 0) != command.expected_version()) {
    return refused(Code::kConflict, existing ? "the account was changed meanwhile" : "the account does not exist");
  }
  if (!existing) {
    // The key may have become another account's by a change of keys.
    EC_ASSIGN(const auto bound, load<v1::ClaimAccountKey>(account_key_record(next.thumbprint())));
    if (bound) return refused(Code::kConflict, "the key belongs to another account");
  }
  store(record, next);
  return numbered(next.version());
}

Result<v1::Outcome> Applier::create_order(const v1::CreateOrder& command) {
  const std::string record = order_record(command.order().id());
  EC_ASSIGN(const auto existing, load<v1::Order>(record));
  if (existing) return repeated(existing->version());
  v1::Order order = command.order();
  order.set_version(1);
  store(record, order);
  state_.put(state_key(group_, order_index_record(order.account_id(), order.id())), "");
  for (v1::Authorization authorization : command.authorizations()) {
    authorization.set_version(1);
    store(authorization_record(authorization.id()), authorization);
  }
  return numbered(1);
}

Result<v1::Outcome> Applier::update_authorization(const v1::UpdateAuthorization& command) {
  const std::string record = authorization_record(command.authorization().id());
  EC_ASSIGN(const auto existing, load<v1::Authorization>(record));
  if (!existing) return refused(Code::kNotFound, "the authorization does not exist");
  v1::Authorization next = command.authorization();
  next.set_version(command.expected_version() + 1);
  if (existing->SerializeAsString() == next.SerializeAsString()) return repeated(next.version());
  if (existing->version() != command.expected_version()) {
    return refused(Code::kConflict, "the authorization was changed meanwhile");
  }
  store(record, next);
  EC_ASSIGN(auto order, load<v1::Order>(order_record(next.order_id())));
  if (order && (order->status() == "pending" || order->status() == "ready")) {
    // RFC 8555 section 7.1.6: ready when every authorization is valid, invalid as soon as one cannot become so or is no
    // longer.
    bool all_valid = true;
    bool hopeless = false;
    for (const auto& id : order->authorization_ids()) {
      EC_ASSIGN(const auto other, load<v1::Authorization>(authorization_record(id)));
      const std::string status = other ? other->status() : "invalid";
      all_valid = all_valid && status == "valid";
      hopeless = hopeless || (status != "valid" && status != "pending");
    }
    if (hopeless) state_.remove(state_key(group_, order_index_record(order->account_id(), order->id())));
    if (all_valid || hopeless) {
      order->set_status(all_valid ? "ready" : "invalid");
      for (const auto& challenge : next.challenges()) {
        if (hopeless && order->problem().empty()) order->set_problem(challenge.problem());
      }
      order->set_version(order->version() + 1);
      store(order_record(next.order_id()), *order);
    }
  }
  return numbered(next.version());
}

Result<v1::Outcome> Applier::update_order(const v1::UpdateOrder& command) {
  const std::string record = order_record(command.order().id());
  EC_ASSIGN(const auto existing, load<v1::Order>(record));
  if (!existing) return refused(Code::kNotFound, "the order does not exist");
  v1::Order next = command.order();
  next.set_version(command.expected_version() + 1);
  if (existing->SerializeAsString() == next.SerializeAsString()) return repeated(next.version());
  if (existing->version() != command.expected_version()) {
    return refused(Code::kConflict, "the order was changed meanwhile");
  }
  store(record, next);
  return numbered(next.version());
}

Result<v1::Outcome> Applier::allocate_crl_number(const v1::AllocateCrlNumber& command) {
  const RegionId issuer{static_cast<std::uint8_t>(command.issuer_region())};
  EC_ASSIGN(const auto membership, load<v1::Membership>(membership_record()));
  const v1::Membership known = membership ? *membership : first_membership(options_.witnesses);
  const std::uint64_t fenced_in = member_of(known, issuer).fence_epoch();
  if (command.epoch() < fenced_in) return refused(Code::kConflict, below_floor(issuer, command.epoch(), fenced_in));
  const RegionId signer =
      command.signer_region() == 0 ? issuer : RegionId{static_cast<std::uint8_t>(command.signer_region())};
  const Activation active = crl_activation(known, issuer);
  if ((signer != active.signer || command.epoch() < active.epoch) && options_.bug != Bug::kNumberForAnybody)
    return refused(Code::kConflict, not_activated(issuer, signer, command.epoch(), active));
  EC_ASSIGN(const auto last, number(crl_number_record(issuer)));
  if (options_.bug != Bug::kCrlNumberAgain || issuer.value != 1) set_number(crl_number_record(issuer), last + 1);
  return numbered(last + 1);
}

Result<v1::Outcome> Applier::put_crl(const v1::PutCrl& command) {
  const std::string record = crl_record(RegionId{static_cast<std::uint8_t>(command.crl().issuer_region())});
  EC_ASSIGN(const auto existing, load<v1::Crl>(record));
  if (existing && existing->number() >= command.crl().number()) {
    if (existing->number() == command.crl().number() && existing->der() == command.crl().der()) {
      return repeated(existing->number());
    }
    return refused(Code::kConflict, "CRL number " + std::to_string(existing->number()) + " is already published");
  }
  EC_ASSIGN(auto too_old, fenced(command.crl().issuer_region(), command.crl().epoch()));
  if (too_old) return std::move(*too_old);
  store(record, command.crl());
  return numbered(command.crl().number());
}

Result<v1::Outcome> Applier::claim(const v1::ClaimRequestKey& command) {
  const std::string record = request_key_record(command.request_key());
  EC_ASSIGN(const auto bound, load<v1::ClaimRequestKey>(record));
  const bool replaces = bound && !command.instead_of().empty() && bound->serial() == command.instead_of();
  if (bound && !replaces && options_.bug != Bug::kLastClaimWins) {
    if (bound->request_digest() != command.request_digest()) {
      return refused(Code::kConflict, "the idempotency key was used for another request");
    }
    auto outcome = repeated();
    outcome.set_serial(bound->serial());
    return outcome;
  }
  v1::ClaimRequestKey next;
  next.set_serial(command.serial());
  next.set_request_digest(command.request_digest());
  next.set_bound_at_ms(proposed_at_ms_);
  store(record, next);
  v1::Outcome outcome;
  outcome.set_serial(command.serial());
  return outcome;
}

Result<v1::Outcome> Applier::claim_account_key(const v1::ClaimAccountKey& command) {
  const RegionRoll founding{options_.founding, options_.witnesses};
  if (home_group(home_of_thumbprint(command.thumbprint(), founding)) != group_)
    return refused(Code::kInvalid, "this group is not the home of the key");
  const std::string first = account_id_of_thumbprint(command.thumbprint(), founding);
  EC_ASSIGN(const auto account, load<v1::Account>(account_record(first)));
  EC_ASSIGN(const auto bound, load<v1::ClaimAccountKey>(account_key_record(command.thumbprint())));
  v1::Outcome outcome;
  outcome.set_repeated_request(account || bound);
  outcome.set_account_id(account ? first : bound ? bound->account_id() : command.account_id());
  if (!account && !bound) store(account_key_record(command.thumbprint()), command);
  return outcome;
}

Result<v1::Outcome> Applier::sweep(const v1::Sweep& command) {
  v1::Outcome outcome;
  for (const auto& id : command.order_ids()) {
    EC_ASSIGN(const auto order, load<v1::Order>(order_record(id)));
    if (!order || !is_swept(command, *order)) continue;
    state_.remove(state_key(group_, order_record(id)));
    state_.remove(state_key(group_, order_index_record(order->account_id(), id)));
    for (const auto& authorization : order->authorization_ids())
      state_.remove(state_key(group_, authorization_record(authorization)));
    outcome.set_swept_orders(outcome.swept_orders() + 1);
  }
  for (const auto& key : command.request_keys()) {
    EC_ASSIGN(const auto bound, load<v1::ClaimRequestKey>(request_key_record(key)));
    if (!bound || !is_swept(command, *bound)) continue;
    state_.remove(state_key(group_, request_key_record(key)));
    outcome.set_swept_request_keys(outcome.swept_request_keys() + 1);
  }
  return outcome;
}

Result<v1::Outcome> Applier::coordinate(const std::string& bytes) {
  if (group_ != kGlobalGroup) return refused(Code::kInvalid, "coordination belongs to the global group");
  coordination::v1::Command command;
  if (!command.ParseFromString(bytes)) return refused(Code::kInvalid, "the command of the key space does not parse");
  CoordinationState state(state_);
  EC_ASSIGN(const auto answer, coordination::apply(command, state, changes_.coordination, options_.coordination_bug));
  v1::Outcome outcome;
  outcome.set_coordination(answer.SerializeAsString());
  return outcome;
}

// `make` is what changes the membership.
template <class Make>
Result<v1::Outcome> Applier::with_membership(Make make) {
  if (group_ != kGlobalGroup) return refused(Code::kInvalid, "membership belongs to the global group");
  EC_ASSIGN(auto stored, load<v1::Membership>(membership_record()));
  v1::Membership membership = stored ? std::move(*stored) : first_membership(options_.witnesses);
  const Result<Changed> changed = make(membership);
  if (!changed) return refused(changed.error().code, changed.error().message);
  if (changed->repeated) return repeated(changed->epoch);
  store(membership_record(), membership);
  changes_.membership = std::move(membership);
  return numbered(changed->epoch);
}

// Whoever changes the membership without a person is refused when the lock is another's; a person's word has no token.
Result<std::optional<v1::Outcome>> Applier::refuse_replaced(const std::string& lock, std::int64_t token) {
  if (token == 0) return std::nullopt;
  CoordinationState state(state_);
  EC_ASSIGN(const auto held, coordination::find_key(state, lock));
  if (held && held->create_revision() == token) return std::nullopt;
  return refused(Code::kConflict, "who asks for it has been replaced: token " + std::to_string(token) +
                                      " is not that of the lock any more");
}

Result<v1::Outcome> Applier::change_membership(const v1::ChangeMembership& command) {
  EC_ASSIGN(auto replaced, refuse_replaced(command.lock(), command.token()));
  if (replaced) return std::move(*replaced);
  return with_membership([&](v1::Membership& membership) {
    return change(membership, command, options_.founding, proposed_at_ms_, options_.bug);
  });
}

Result<v1::Outcome> Applier::record_reformation(const v1::Reformation& command) {
  return with_membership(
      [&](v1::Membership& membership) { return record(membership, command, options_.founding, proposed_at_ms_); });
}

Result<v1::Outcome> Applier::change_replicas(const v1::ChangeReplicas& command) {
  EC_ASSIGN(auto replaced, refuse_replaced(command.lock(), command.token()));
  if (replaced) return std::move(*replaced);
  return with_membership(
      [&](v1::Membership& membership) { return change(membership, command, options_.founding, proposed_at_ms_); });
}

Result<v1::Outcome> Applier::found_region(const v1::FoundRegion& command) {
  return with_membership(
      [&](v1::Membership& membership) { return change(membership, command, options_.founding, proposed_at_ms_); });
}

Result<v1::Outcome> Applier::set_epoch_floor(const v1::SetEpochFloor& command) {
  if (group_ == kGlobalGroup) return refused(Code::kInvalid, "floors belong to the home groups");
  if (command.region() == 0 || command.region() > kMostRegions)
    return refused(Code::kNotFound, "there is no such region");
  const RegionId region{static_cast<std::uint8_t>(command.region())};
  EC_ASSIGN(const auto floor, number(epoch_floor_record(region)));
  if (command.epoch() <= floor) return repeated(floor);
  set_number(epoch_floor_record(region), command.epoch());
  if (options_.floors != nullptr) options_.floors->raise(group_, region, command.epoch());
  changes_.floors = true;
  return numbered(command.epoch());
}

}  // namespace

Result<v1::Outcome> apply_command(const CatalogOptions& options, GroupId group, v1::Command& command,
                                  Transaction& state, AppliedChanges& changes) {
  Applier applier(options, group, command.proposed_at_ms(), state, changes);
  switch (command.kind_case()) {
    case v1::Command::kIssue: return applier.issue(*command.mutable_issue());
    case v1::Command::kRevoke: return applier.revoke(command.revoke());
    case v1::Command::kVoidSerial: return applier.void_serial(command.void_serial());
    case v1::Command::kPutAccount: return applier.put_account(command.put_account());
    case v1::Command::kCreateOrder: return applier.create_order(command.create_order());
    case v1::Command::kUpdateAuthorization: return applier.update_authorization(command.update_authorization());
    case v1::Command::kUpdateOrder: return applier.update_order(command.update_order());
    case v1::Command::kAllocateCrlNumber: return applier.allocate_crl_number(command.allocate_crl_number());
    case v1::Command::kPutCrl: return applier.put_crl(command.put_crl());
    case v1::Command::kClaimRequestKey: return applier.claim(command.claim_request_key());
    case v1::Command::kClaimAccountKey: return applier.claim_account_key(command.claim_account_key());
    case v1::Command::kSweep: return applier.sweep(command.sweep());
    case v1::Command::kChangeReplicas: return applier.change_replicas(command.change_replicas());
    case v1::Command::kFoundRegion: return applier.found_region(command.found_region());
    case v1::Command::kChangeMembership: return applier.change_membership(command.change_membership());
    case v1::Command::kSetEpochFloor: return applier.set_epoch_floor(command.set_epoch_floor());
    case v1::Command::kRecordReformation: return applier.record_reformation(command.record_reformation());
    case v1::Command::kCoordination: return applier.coordinate(command.coordination());
    case v1::Command::KIND_NOT_SET: break;
  }
  // Skipping it would let this replica's state part from its peers'.
  return fail(Code::kUnsupported, "the log holds a command that this version does not know: upgrade this node");
}

std::string revoked_index_record(RegionId issuer, std::string_view serial) {
  return std::string("r/") + static_cast<char>(issuer.value) + std::string(serial);
}
std::string certificate_count_record() { return "n/certificates"; }
std::string crl_number_record(RegionId issuer) { return std::string("n/crl") + static_cast<char>(issuer.value); }

}  // namespace evercert::store
