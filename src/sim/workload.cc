// SPDX-License-Identifier: Apache-2.0
#include "sim/workload.h"

#include "store/keys.h"
#include "store/membership.h"
#include "store/membership_board.h"
#include "store/standby_duty.h"

namespace evercert::sim {
namespace {

using store::v1::Outcome;

std::string ok(const Outcome& outcome) { return outcome.repeated_request() ? "repeated" : "ok"; }

}  // namespace

Workload::Workload(World& world, Checkers& checkers, SeededRandom random, WorkloadOptions options)
    : world_(world), checkers_(checkers), random_(random), options_(options) {}

void Workload::start() {
  for (std::uint32_t i = 0; i < options_.clients; ++i) step();
}

void Workload::step() {
  if (!running_) return;
  world_.at(random_.between(options_.pause_min, options_.pause_max), [this] { step(); });
  const NodeId through = world_.nodes()[random_.below(world_.nodes().size())];
  if (!world_.up(through) || region_of(through).value > world_.layout().regions || world_.is_witness(through)) return;
  if (random_.chance(options_.others)) return other(through);
  if (!random_.chance(options_.writes)) return read(through);
  if (!known_.empty() && random_.chance(options_.revocations)) return revoke(through);
  issue(through);
}

void Workload::last_round() {
  last_round_ = true;
  for (const NodeId node : world_.members()) {
    if (world_.up(node) && !world_.is_witness(node)) issue(node, region_of(node));
  }
}

std::optional<RegionId> Workload::idle_region(const Operator& person) const {
  for (std::uint8_t r = 1; r <= world_.layout().regions; ++r) {
    if (world_.layout().is_witness(RegionId{r})) continue;
    if (!served_.contains(RegionId{r}) && !person.standing().contains(RegionId{r})) return RegionId{r};
  }
  return std::nullopt;
}

std::string Workload::client(NodeId through) { return "through " + node_name(through); }

RegionId Workload::any_region() {
  for (;;) {
    const RegionId region{static_cast<std::uint8_t>(1 + random_.below(world_.layout().regions))};
    if (!world_.layout().is_witness(region)) return region;  // nothing is at home there
  }
}

std::string Workload::new_serial(RegionId home) {
  const std::string number = std::to_string(++last_number_);
  return std::string(1, static_cast<char>(home.value)) + std::string(15 - number.size(), '0') + number;
}

void Workload::submit(NodeId through, GroupId group, const store::v1::Command& command, Histories::Id id,
                      std::function<std::string(const Outcome&)> word, Told done) {
  world_.engine(through)->submit(
      group, command.SerializeAsString(), world_.local_now(through) + 8s,
      [this, group, id = std::move(id), word = std::move(word), done = std::move(done)](Result<Outcome> outcome) {
        if (!outcome) {
          if (outcome.error().code == Code::kUnavailable) checkers_.histories().not_done(id);
          return;
        }
        if (outcome->code() == 0) {
          checkers_.wrote(group);
          checkers_.histories().returned(id, word(*outcome), world_.now());
          if (done) done(*outcome);
          return;
        }
        if (outcome->message().starts_with(store::kFencedPrefix)) return checkers_.histories().not_done(id);
        const bool missing = outcome->code() == 1 + static_cast<std::uint32_t>(Code::kNotFound);
        checkers_.histories().returned(id, missing ? "missing" : "conflict", world_.now());
      });
  world_.wake(through);
}

// What the node's own region would sign now. A signer that cannot tell whether its region is fenced may have begun
// before; one that knows does nothing.
bool Workload::sign(NodeId through, const std::string& serial, store::v1::Certificate* certificate) {
  const auto& membership = world_.engine(through)->membership();
  const RegionId issuer = region_of(through);
  const auto state = store::member_of(membership.view()->record, issuer).state();
  if (store::silenced(state) || state == store::v1::JOINING) return false;
  certificate->set_serial(serial);
  certificate->set_der("certificate " + serial.substr(1));
  certificate->set_issuer_region(issuer.value);
  certificate->set_not_after(INT64_MAX);
  certificate->set_epoch(membership.epoch().value);
  return true;
}

void Workload::issue(NodeId through) {
  issue(through, random_.chance(options_.abroad) ? any_region() : region_of(through));
}

void Workload::issue(NodeId through, RegionId home) {
  const std::string serial = new_serial(home);
  store::v1::Command command;
  if (!sign(through, serial, command.mutable_issue()->mutable_certificate())) return;
  started_.push_back(serial);
  auto id = checkers_.histories().invoked(RecordKind::kCertificate, serial_name(serial), client(through),
                                          region_of(through), "issue", world_.now());
  submit(through, home_group(home), command, std::move(id), ok, [this, through, serial](const Outcome&) {
    ++issued_;
    checkers_.issued(serial);
    known_.push_back(serial);
    if (last_round_ && world_.up(through)) read(through, serial);
  });
}

void Workload::revoke(NodeId through) {
  const std::string serial = known_[known_.size() - 1 - random_.below(std::min<std::size_t>(known_.size(), 20))];
  store::v1::Command command;
  command.mutable_revoke()->set_serial(serial);
  command.mutable_revoke()->set_reason(1);
  command.mutable_revoke()->set_request_id(std::to_string(random_.next()));
  const auto group = store::home_of_serial(serial, world_.layout().regions);
  auto id = checkers_.histories().invoked(RecordKind::kCertificate, serial_name(serial), client(through),
                                          region_of(through), "revoke", world_.now());
  submit(through, *group, command, std::move(id), ok, [this, serial](const Outcome&) {
    ++revoked_;
    checkers_.revoked(serial);
  });
}

void Workload::read(NodeId through) {
  if (known_.empty()) return;
  // Now and then of one whose issuance is still under way.
  const auto& among = random_.chance(0.2) ? started_ : known_;
  const std::string serial =
      among[among.size() - 1 - random_.below(std::min<std::size_t>(among.size(), options_.recent))];
  read(through, serial);
}

void Workload::read(NodeId through, const std::string& serial) {
  const auto group = store::home_of_serial(serial, world_.layout().regions);
  auto id = checkers_.histories().invoked(RecordKind::kCertificate, serial_name(serial), client(through),
                                          region_of(through), "read", world_.now());
  const Instant now = world_.local_now(through);
  world_.engine(through)->freshen(
      *group, store::certificate_record(serial), now + 4s,
      [this, through, serial, id = std::move(id),
       expected = checkers_.expectation(serial)](store::Freshness freshness) {
        if (freshness == store::Freshness::kStale) {
          ++stale_reads_;
          return;
        }
        const auto bytes = world_.certificate(through, serial);
        if (!bytes) return;  // damaged: the node says so and stops
        ++fresh_reads_;
        store::v1::Certificate certificate;
        const bool exists = *bytes && certificate.ParseFromString(**bytes);
        const bool revoked = exists && certificate.revoked();
        checkers_.histories().returned(id, revoked ? "revoked" : exists ? "good" : "absent", world_.now());
        checkers_.read(through, serial, expected, exists, revoked);
        if (last_round_) served_.insert(region_of(through));
      },
      now);
  world_.wake(through);
}

// ---------------------------------------------------------------------------------------------- other records

void Workload::other(NodeId through) {
  switch (random_.below(8)) {
    case 0:
    case 1: return change_account(through);
    case 2:
    case 3: return read_account(through);
    case 4: return order(through);
    case 5: return read_order(through);
    case 6: return claim(through);
    default: return publish_crl(through);
  }
}

void Workload::freshen(NodeId through, GroupId group, const std::string& record, Histories::Id id,
                       std::function<std::string(const std::optional<std::string>&)> word) {
  const Instant now = world_.local_now(through);
  world_.engine(through)->freshen(
      group, record, now + 4s,
      [this, through, group, record, id = std::move(id), word = std::move(word)](store::Freshness freshness) {
        if (freshness == store::Freshness::kStale) return;
        const auto bytes = world_.state(through).get(store::state_key(group, record));
        if (bytes) checkers_.histories().returned(id, word(*bytes), world_.now());
      },
      now);
  world_.wake(through);
}

// Compare-and-set, from versions that clients believe in; some of them are mistaken.
void Workload::change_account(NodeId through) {
  if (accounts_.empty() || random_.chance(0.1)) {
    accounts_.push_back({store::acme_prefix(any_region()) + ("account" + std::to_string(++last_number_)), 0});
  }
  const std::size_t which = accounts_.size() - 1 - random_.below(std::min<std::size_t>(accounts_.size(), 2));
  Account& account = accounts_[which];
  const std::uint64_t expected = account.version;
  const std::string value = "v" + std::to_string(++last_number_);
  store::v1::Command command;
  auto* put = command.mutable_put_account();
  put->mutable_account()->set_id(account.id);
  put->mutable_account()->set_status(value);
  put->set_expected_version(expected);
  auto id = checkers_.histories().invoked(RecordKind::kAccount, account.id, client(through), region_of(through),
                                          "put " + std::to_string(expected) + " " + value, world_.now());
  const auto group = store::home_of_acme_id(account.id, world_.layout().regions);
  submit(through, *group, command, std::move(id), ok, [this, which](const Outcome& outcome) {
    ++other_writes_;
    accounts_[which].version = std::max(accounts_[which].version, outcome.number());
  });
}

void Workload::read_account(NodeId through) {
  if (accounts_.empty()) return change_account(through);
  const std::size_t which = accounts_.size() - 1 - random_.below(std::min<std::size_t>(accounts_.size(), 2));
  const std::string account = accounts_[which].id;
  auto id = checkers_.histories().invoked(RecordKind::kAccount, account, client(through), region_of(through), "read",
                                          world_.now());
  freshen(through, *store::home_of_acme_id(account, world_.layout().regions), store::account_record(account),
          std::move(id), [this, which](const std::optional<std::string>& bytes) -> std::string {
            store::v1::Account stored;
            if (!bytes || !stored.ParseFromString(*bytes)) return "0 ";
            accounts_[which].version = std::max(accounts_[which].version, stored.version());
            return std::to_string(stored.version()) + " " + stored.status();
          });
}

// Several clients finalize the same order, each with a certificate of its own.
void Workload::order(NodeId through) {
  store::v1::Command command;
  if (orders_.empty() || random_.chance(0.4)) {
    const std::string name = store::acme_prefix(any_region()) + ("order" + std::to_string(++last_number_));
    command.mutable_create_order()->mutable_order()->set_id(name);
    command.mutable_create_order()->mutable_order()->set_status("ready");
    auto id = checkers_.histories().invoked(RecordKind::kOrder, name, client(through), region_of(through), "create",
                                            world_.now());
    return submit(through, *store::home_of_acme_id(name, world_.layout().regions), command, std::move(id), ok,
                  [this, name](const Outcome&) { orders_.push_back(name); });
  }
  const std::string name = orders_[orders_.size() - 1 - random_.below(std::min<std::size_t>(orders_.size(), 2))];
  const GroupId group = *store::home_of_acme_id(name, world_.layout().regions);
  const std::string serial = new_serial(RegionId{static_cast<std::uint8_t>(group.value)});
  if (!sign(through, serial, command.mutable_issue()->mutable_certificate())) return;
  command.mutable_issue()->set_order_id(name);
  auto id = checkers_.histories().invoked(RecordKind::kOrder, name, client(through), region_of(through),
                                          "finalize " + serial_name(serial), world_.now());
  submit(
      through, group, command, std::move(id), [](const Outcome& outcome) { return serial_name(outcome.serial()); },
      [this](const Outcome&) { ++other_writes_; });
}

void Workload::read_order(NodeId through) {
  if (orders_.empty()) return order(through);
  const std::string name = orders_[orders_.size() - 1 - random_.below(std::min<std::size_t>(orders_.size(), 2))];
  auto id = checkers_.histories().invoked(RecordKind::kOrder, name, client(through), region_of(through), "read",
                                          world_.now());
  freshen(through, *store::home_of_acme_id(name, world_.layout().regions), store::order_record(name), std::move(id),
          [](const std::optional<std::string>& bytes) -> std::string {
            store::v1::Order stored;
            if (!bytes || !stored.ParseFromString(*bytes)) return "absent";
            return stored.status() == "valid" ? serial_name(stored.certificate_serial()) : stored.status();
          });
}

void Workload::claim(NodeId through) {
  const std::string key = "key" + std::to_string(++last_number_ / 16);
  const std::string serial = new_serial(any_region());
  store::v1::Command command;
  command.mutable_claim_request_key()->set_request_key(key);
  command.mutable_claim_request_key()->set_serial(serial);
  auto id = checkers_.histories().invoked(RecordKind::kClaim, key, client(through), region_of(through),
                                          "claim " + serial_name(serial), world_.now());
  submit(
      through, kGlobalGroup, command, std::move(id),
      [](const Outcome& outcome) { return serial_name(outcome.serial()); },
      [this](const Outcome&) { ++other_writes_; });
}

// As the node's region may by what the node knows of the membership, which may be old when the number is given or the
// list is stored.
void Workload::publish_crl(NodeId through) {
  const auto view = world_.engine(through)->membership().view();
  if (store::member_of(view->record, region_of(through)).state() == store::v1::JOINING) return;
  std::vector<RegionId> issuers;
  for (std::uint8_t r = 1; r <= world_.layout().regions; ++r) {
    if (store::crl_activation(view->record, RegionId{r}).signer == region_of(through)) issuers.push_back(RegionId{r});
  }
  if (issuers.empty()) return;
  const RegionId issuer = issuers[random_.below(issuers.size())];
  const std::uint64_t epoch = view->record.epoch();
  store::v1::Command command;
  command.mutable_allocate_crl_number()->set_issuer_region(issuer.value);
  command.mutable_allocate_crl_number()->set_signer_region(region_of(through).value);
  command.mutable_allocate_crl_number()->set_epoch(epoch);
  auto id = checkers_.histories().invoked(RecordKind::kCrlNumber, std::to_string(issuer.value), client(through),
                                          region_of(through), "next", world_.now());
  submit(
      through, kGlobalGroup, command, std::move(id),
      [](const Outcome& outcome) { return std::to_string(outcome.number()); },
      [this, through, issuer, epoch](const Outcome& outcome) {
        ++other_writes_;
        checkers_.crl_number(issuer, region_of(through), epoch, outcome.number());
        world_.at(random_.between(1ms, 2s), [this, through, issuer, epoch, number = outcome.number()] {
          if (world_.up(through)) put_crl(through, issuer, epoch, number);
        });
      });
}

void Workload::put_crl(NodeId through, RegionId issuer, std::uint64_t epoch, std::uint64_t number) {
  store::v1::Command command;
  auto* crl = command.mutable_put_crl()->mutable_crl();
  crl->set_issuer_region(issuer.value);
  crl->set_signer_region(region_of(through).value);
  crl->set_number(number);
  crl->set_epoch(epoch);
  crl->set_der("list " + std::to_string(number));
  // What became of it, the checker sees in what is applied.
  world_.engine(through)->submit(home_group(issuer), command.SerializeAsString(), world_.local_now(through) + 8s,
                                 [](Result<Outcome>) {});
  world_.wake(through);
}

}  // namespace evercert::sim
