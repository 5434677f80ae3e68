// SPDX-License-Identifier: Apache-2.0
// One thing that is checked at intervals (an interface, the database, a key, an issuance): what its last checks make of
// it, 0 to 100, with the reason. Pure; one thread.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "base/time.h"
#include "health/score.h"

namespace evercert::health {

struct CheckPlan {
  Duration interval = 5s;
  Duration timeout = 2s;
  int unhealthy = 2;   // failures in a row until it is out
  int healthy = 3;     // passes in a row until it is back
  double without = 0;  // points that are left while it is out: of what most goes on without
};

struct CheckResult {
  bool passed = false;
  Duration took = 0us;
  std::string why;  // of a failure, for a person
};

class Component {
 public:
  Component(std::string name, CheckPlan plan, Instant now) : name_(std::move(name)), plan_(plan), next_(now) {}

  // Its check is to be begun now. False while one is under way.
  bool due(Instant now) const { return !began_ && now >= next_; }
  // What must be asked again next, at the latest.
  Instant next_event() const { return began_ ? *began_ + plan_.timeout : next_; }
  void began(Instant now) { began_ = now; }
  // There is a reason to doubt: the next check is at once.
  void hurry(Instant now) { next_ = std::min(next_, now); }
  // Of the check that began last. One that took longer than the time-out has failed, whatever it said.
  void ended(CheckResult result, Instant now);
  // A check that is under way for longer than its time-out has failed; its end will be ignored. True when it was so.
  bool expire(Instant now);

  // Until the first check has ended there is nothing to say.
  bool known() const { return known_; }
  // 100: passes, and in good time. From half of the time-out on, time costs points, up to half of those that it has to
  // give. After a failure half of them are lost, out all; on the way back a share of them is there.
  Score score() const;
  bool out() const { return out_; }
  const std::string& name() const { return name_; }

 private:
  void judge(const CheckResult& result, Instant now);

  std::string name_;
  CheckPlan plan_;
  Instant next_;
  std::optional<Instant> began_;
  bool known_ = false, out_ = false;
  int failures_ = 0, passes_ = 0;  // in a row
  CheckResult last_;
};

}  // namespace evercert::health
