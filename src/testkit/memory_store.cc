// SPDX-License-Identifier: Apache-2.0
#include "testkit/memory_store.h"

#include <algorithm>

#include "base/check.h"
#include "store/catalog.h"
#include "store/keys.h"

namespace evercert::testkit {

using namespace store;

Result<v1::Outcome> MemoryStore::apply(GroupId group, v1::Command command) {
  Transaction state([this](std::string_view key) { return kv_.get(std::string(key)); },
                    [this](const std::string& from, const std::string& to, const KvVisitor& visit) {
                      return kv_.scan(from, to, SIZE_MAX, visit);
                    });
  AppliedChanges changes;
  command.set_proposed_at_ms(proposed_at_ms);
  applied.push_back(command);
  EC_ASSIGN(auto outcome, apply_command({static_cast<std::uint8_t>(regions_)}, group, command, state, changes));
  EC_TRY(kv_.write(state.take_changes()));
  if (changes.membership) publish(*changes.membership);
  for (const auto& certificate : changes.certificates) {
    for (const auto& callback : callbacks_) callback(certificate);
  }
  if (!changes.coordination.empty()) {
    for (const auto& callback : coordination_callbacks_) callback(changes.coordination);
  }
  return outcome;
}

MemoryStore::Fate MemoryStore::fate_of(const v1::Command& command) {
  const auto planted = std::find_if(fates_.begin(), fates_.end(),
                                    [&](const auto& one) { return !one.first || *one.first == command.kind_case(); });
  if (planted == fates_.end()) return Fate::kDone;
  const Fate fate = planted->second;
  fates_.erase(planted);
  return fate;
}

Task<Result<v1::Outcome>> MemoryStore::submit(Executor& on, GroupId group, v1::Command command, Duration) {
  if (const auto others = before) others(group, command);  // a copy: it may take itself away
  Fate fate = fate_of(command);
  if (fate == Fate::kHeld) {
    auto start = [this](auto resolve) { held_.push_back(std::move(resolve)); };
    auto released = suspend_on<Fate>(on, std::move(start));
    fate = co_await released;
  }
  if (fate == Fate::kRefused) co_return fail(Code::kUnavailable, "the group has no leader");
  if (fate == Fate::kLost) co_return fail(Code::kUnknownOutcome, "no answer came");
  auto outcome = apply(group, command);
  EC_CHECK(outcome.has_value(), "a command that the state machine cannot apply");
  if (fate == Fate::kAnswerLost) co_return fail(Code::kUnknownOutcome, "no answer came");
  if (outcome->code() != 0) co_return fail(static_cast<Code>(outcome->code() - 1), outcome->message());
  co_return std::move(*outcome);
}

Task<Freshness> MemoryStore::freshen(Executor&, GroupId, std::string, Duration) {
  ++freshens;
  co_return fresh ? Freshness::kFresh : Freshness::kStale;
}

template <class Record>
Result<std::optional<Record>> MemoryStore::load(GroupId group, const std::string& record) const {
  EC_ASSIGN(const auto bytes, kv_.get(state_key(group, record)));
  if (!bytes) return std::optional<Record>{};
  Record parsed;
  EC_CHECK(parsed.ParseFromString(*bytes), "the state machine stored what does not parse");
  return std::optional<Record>{std::move(parsed)};
}

Result<std::optional<v1::Certificate>> MemoryStore::certificate(std::string_view serial) {
  EC_ASSIGN(const auto group, home_of_serial(serial, regions_));
  EC_ASSIGN(auto found, load<v1::Certificate>(group, certificate_record(serial)));
  if (found && is_void(*found)) found.reset();
  return found;
}
Result<std::optional<v1::Account>> MemoryStore::account(std::string_view id) {
  EC_ASSIGN(const auto group, home_of_acme_id(id, regions_));
  return load<v1::Account>(group, account_record(id));
}
Result<std::optional<std::string>> MemoryStore::account_of_key(std::string_view thumbprint) {
  const GroupId group = home_group(home_of_thumbprint(thumbprint, {static_cast<std::uint8_t>(regions_), 0}));
  EC_ASSIGN(const auto bound, load<v1::ClaimAccountKey>(group, account_key_record(thumbprint)));
  return bound ? std::optional(bound->account_id()) : std::nullopt;
}
Result<std::vector<std::string>> MemoryStore::order_ids(std::string_view account_id, std::string_view after,
                                                        std::size_t limit) {
  std::vector<std::string> found;
  for (std::uint32_t g = 1; g <= regions_; ++g) {
    const std::string prefix = state_key(GroupId{g}, order_index_record(account_id));
    EC_TRY(kv_.scan(prefix, prefix + '\x7f', SIZE_MAX, [&](std::string_view key, std::string_view) {
      const std::string_view id = key.substr(prefix.size());
      if (id > after && found.size() < limit) found.emplace_back(id);
      return true;
    }));
  }
  return found;
}
Result<std::optional<v1::Order>> MemoryStore::order(std::string_view id) {
  EC_ASSIGN(const auto group, home_of_acme_id(id, regions_));
  return load<v1::Order>(group, order_record(id));
}
Result<std::optional<v1::Authorization>> MemoryStore::authorization(std::string_view id) {
  EC_ASSIGN(const auto group, home_of_acme_id(id, regions_));
  return load<v1::Authorization>(group, authorization_record(id));
}
Result<std::optional<v1::Crl>> MemoryStore::crl(RegionId issuer) {
  return load<v1::Crl>(home_group(issuer), crl_record(issuer));
}

Result<bool> MemoryStore::alone_with_key(std::string_view key, std::string_view serial) {
  EC_ASSIGN(const auto home, home_of_serial(serial, regions_));
  for (std::uint32_t g = 1; g <= regions_; ++g) {
    EC_ASSIGN(const auto bound, load<v1::ClaimRequestKey>(GroupId{g}, request_key_record(key)));
    if (GroupId{g} == home ? !bound || bound->serial() != serial : bound.has_value()) return false;
  }
  return true;
}

Result<std::optional<Store::BoundKey>> MemoryStore::request_key(std::string_view key) {
  for (std::uint32_t g = 0; g <= regions_; ++g) {
    EC_ASSIGN(const auto bound, load<v1::ClaimRequestKey>(GroupId{g}, request_key_record(key)));
    if (bound) return BoundKey{bound->serial(), bound->request_digest(), GroupId{g}, true};
  }
  return std::optional<BoundKey>{};
}

Result<std::vector<v1::Certificate>> MemoryStore::list_certificates(std::string_view after, std::size_t limit) {
  std::vector<v1::Certificate> found;
  for (std::uint32_t g = 1; g <= regions_; ++g) {
    EC_TRY(kv_.scan(state_key(GroupId{g}, "c/"), state_key(GroupId{g}, "c0"), SIZE_MAX,
                    [&](std::string_view, std::string_view value) {
                      v1::Certificate certificate;
                      EC_CHECK(certificate.ParseFromString(std::string(value)), "a stored certificate does not parse");
                      if (!is_void(certificate) && std::string_view(certificate.serial()) > after)
                        found.push_back(std::move(certificate));
                      return found.size() < limit;
                    }));
    if (found.size() >= limit) break;
  }
  return found;
}

Status MemoryStore::revoked_certificates(RegionId issuer, std::int64_t now_seconds,
                                         const std::function<void(const v1::Certificate&)>& each) {
  EC_ASSIGN(const auto all, list_certificates("", SIZE_MAX));
  for (const auto& certificate : all) {
    if (certificate.revoked() && certificate.issuer_region() == issuer.value && certificate.not_after() >= now_seconds)
      each(certificate);
  }
  return {};
}

std::uint64_t MemoryStore::certificate_count() {
  const auto all = list_certificates("", SIZE_MAX);
  return all ? all->size() : 0;
}

}  // namespace evercert::testkit
