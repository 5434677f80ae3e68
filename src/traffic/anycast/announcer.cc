// SPDX-License-Identifier: Apache-2.0
#include "traffic/anycast/announcer.h"

#include <algorithm>

namespace evercert::traffic::anycast {

Announcer::Announcer(AnnounceRules rules, std::vector<std::string> services) : rules_(rules), hold_(rules.hold) {
  for (std::string& name : services) services_.push_back({std::move(name), "", 0, 0});
}

void Announcer::checked(std::size_t service, const std::string& fault, Instant now) {
  Service& of = services_[service];
  of.fault = fault;
  of.good = fault.empty() ? of.good + 1 : 0;
  of.bad = fault.empty() ? 0 : of.bad + 1;
  if (!announced_ || of.bad < rules_.fall) return;
  const bool lasted = announced_at_ && now - *announced_at_ >= rules_.lasted;
  // The first withdrawal of all says nothing about the site yet.
  if (withdrawn_) hold_ = lasted ? rules_.hold : std::min(rules_.hold_most, 2 * hold_);
  announced_ = false;
  withdrawn_ = now;
  why_ = of.name + " failed " + std::to_string(of.bad) + " checks in a row, the last: " + fault;
  ++changes_;
}

bool Announcer::all_risen() const {
  return std::ranges::all_of(services_, [&](const Service& one) { return one.good >= rules_.rise; });
}

Duration Announcer::held(Instant now) const {
  if (announced_ || !withdrawn_) return Duration{0};
  return std::max<Duration>(Duration{0}, hold_ - (now - *withdrawn_));
}

bool Announcer::announce(Instant now) {
  if (announced_ || !all_risen() || held(now) > Duration{0}) return announced_;
  announced_ = true;
  announced_at_ = now;
  why_ = "ready for " + std::to_string(rules_.rise) + " checks in a row";
  ++changes_;
  return true;
}

}  // namespace evercert::traffic::anycast
