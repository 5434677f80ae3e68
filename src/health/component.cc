// SPDX-License-Identifier: Apache-2.0
#include "health/component.h"

#include <algorithm>

namespace evercert::health {
namespace {

constexpr Duration kSoonest = 500ms;  // what failed is looked at again soon, not in a whole interval

std::string milliseconds(Duration d) { return std::to_string(d.count() / 1000) + " ms"; }

}  // namespace

void Component::ended(CheckResult result, Instant now) {
  if (!began_) return;  // it had expired
  result.took = now - *began_;
  if (result.took > plan_.timeout) result = {false, result.took, "no answer within " + milliseconds(plan_.timeout)};
  began_.reset();
  judge(result, now);
}

bool Component::expire(Instant now) {
  if (!began_ || now - *began_ <= plan_.timeout) return false;
  const Duration took = now - *began_;
  began_.reset();
  judge({false, took, "no answer within " + milliseconds(plan_.timeout)}, now);
  return true;
}

void Component::judge(const CheckResult& result, Instant now) {
  known_ = true;
  last_ = result;
  if (result.passed) {
    failures_ = 0;
    ++passes_;
    if (out_ && passes_ >= plan_.healthy) out_ = false;
  } else {
    passes_ = 0;
    ++failures_;
    if (failures_ >= plan_.unhealthy) out_ = true;
  }
  // Between two states the truth is worth finding soon.
  const bool unsure = out_ || failures_ > 0;
  next_ = now + (unsure ? std::min(plan_.interval, std::max(kSoonest, plan_.interval / 5)) : plan_.interval);
}

Score Component::score() const {
  if (!known_) return {100, {}};
  const double given = 100 - plan_.without, half = plan_.without + given / 2;
  if (out_) {
    if (passes_ == 0)
      return {plan_.without, {{given, name_ + " down" + (last_.why.empty() ? "" : " (" + last_.why + ")")}}};
    const double back = plan_.without + given * passes_ / plan_.healthy;
    return {back,
            {{100 - back, name_ + " coming back, " + std::to_string(passes_) + " of " + std::to_string(plan_.healthy) +
                              " checks passed"}}};
  }
  if (failures_ > 0) return {half, {{100 - half, name_ + " failed once (" + last_.why + ")"}}};
  const double grade = graded(static_cast<double>(last_.took.count()), static_cast<double>(plan_.timeout.count()) / 2,
                              static_cast<double>(plan_.timeout.count()));
  // Slow is not down: it keeps half.
  const double points = half + (100 - half) * grade / 100;
  if (points >= 100) return {100, {}};
  return {points, {{100 - points, name_ + " slow, " + milliseconds(last_.took)}}};
}

}  // namespace evercert::health
