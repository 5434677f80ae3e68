// SPDX-License-Identifier: Apache-2.0
#include "sim/workload.h"

#include "store/keys.h"

namespace evercert::sim {

Workload::Workload(World& world, Checkers& checkers, SeededRandom& random, WorkloadOptions options)
    : world_(world), checkers_(checkers), random_(random), options_(options) {}

void Workload::start() {
  for (std::uint32_t i = 0; i < options_.clients; ++i) step();
}

void Workload::step() {
  if (!running_) return;
  world_.at(random_.between(options_.pause_min, options_.pause_max), [this] { step(); });
  const NodeId through = world_.nodes()[random_.below(world_.nodes().size())];
  if (!world_.up(through)) return;
  if (!random_.chance(options_.writes)) return read(through);
  if (!known_.empty() && random_.chance(options_.revocations)) return revoke(through);
  issue(through);
}

void Workload::issue(NodeId through) {
  const RegionId home = random_.chance(options_.abroad)
                            ? RegionId{static_cast<std::uint8_t>(1 + random_.below(world_.layout().regions))}
                            : region_of(through);
  std::string serial(1, static_cast<char>(home.value));
  std::string number = std::to_string(++last_serial_);
  serial += std::string(15 - number.size(), '0') + number;
  store::v1::Command command;
  auto* certificate = command.mutable_issue()->mutable_certificate();
  certificate->set_serial(serial);
  certificate->set_der("certificate " + number);
  certificate->set_issuer_region(home.value);
  certificate->set_not_after(INT64_MAX);
  world_.engine(through)->submit(home_group(home), command.SerializeAsString(), world_.local_now(through) + 8s,
                                 [this, serial](Result<store::v1::Outcome> outcome) {
                                   if (!outcome || outcome->code() != 0) return;
                                   ++issued_;
                                   checkers_.issued(serial);
                                   known_.push_back(serial);
                                 });
  world_.wake(through);
}

void Workload::revoke(NodeId through) {
  const std::string serial = known_[known_.size() - 1 - random_.below(std::min<std::size_t>(known_.size(), 20))];
  store::v1::Command command;
  command.mutable_revoke()->set_serial(serial);
  command.mutable_revoke()->set_reason(1);
  command.mutable_revoke()->set_request_id(std::to_string(random_.next()));
  const auto group = store::home_of_serial(serial, world_.layout().regions);
  world_.engine(through)->submit(*group, command.SerializeAsString(), world_.local_now(through) + 8s,
                                 [this, serial](Result<store::v1::Outcome> outcome) {
                                   if (!outcome || outcome->code() != 0) return;
                                   ++revoked_;
                                   checkers_.revoked(serial);
                                 });
  world_.wake(through);
}

void Workload::read(NodeId through) {
  if (known_.empty()) return;
  const std::string serial =
      known_[known_.size() - 1 - random_.below(std::min<std::size_t>(known_.size(), options_.recent))];
  const auto group = store::home_of_serial(serial, world_.layout().regions);
  const auto expected = checkers_.expectation(serial);
  const std::string record = store::certificate_record(serial);
  const Instant now = world_.local_now(through);
  world_.engine(through)->freshen(
      *group, record, now + 4s,
      [this, through, serial, expected, group = *group, record](store::Freshness freshness) {
        if (freshness == store::Freshness::kStale) {
          ++stale_reads_;
          return;
        }
        ++fresh_reads_;
        const auto bytes = world_.state(through).get(store::state_key(group, record));
        store::v1::Certificate certificate;
        const bool exists = bytes && *bytes && certificate.ParseFromString(**bytes);
        checkers_.read(through, serial, expected, exists, exists && certificate.revoked());
      },
      now);
  world_.wake(through);
}

}  // namespace evercert::sim
