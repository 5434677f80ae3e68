// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/releases.h"

#include <cmath>

#include "base/log.h"
#include "traffic/edge/forwarding.h"

namespace evercert::traffic {
namespace {

std::string percent_text(std::uint32_t hundredths) {
  std::string text = std::to_string(hundredths / 100);
  if (const auto rest = hundredths % 100; rest != 0) {
    text += (rest < 10 ? ".0" : ".") + std::to_string(rest);
    if (text.ends_with('0')) text.pop_back();
  }
  return text + " %";
}

}  // namespace

Releases::Releases(const Backends& backends, MonotonicClock& clock) : clock_(clock) {
  for (std::size_t at = 0; at < backends.size(); ++at) {
    if (!backends[at].remote) (backends[at].endpoint.canary ? canaries_ : stable_).set(at);
  }
}

Backends::Tried Releases::avoid(const net::HttpRequest& request) const {
  if (canaries_.none() || stable_.none()) return {};
  // What names the client: whoever has one release keeps it.
  const std::string_view name = client_name(request);
  const auto wish = parse_canary_wish(request.headers.find(kCanaryWish).value_or(""));
  std::lock_guard lock(mutex_);
  return canary_.choose(std::hash<std::string_view>{}(name), wish) == Release::kCanary ? stable_ : canaries_;
}

void Releases::finished(const Attempt& attempt, Outcome outcome) {
  if (canaries_.none() || stable_.none()) return;
  const bool canary = canaries_.test(attempt.endpoint);
  if (!canary && !stable_.test(attempt.endpoint)) return;
  switch (outcome) {
    case Outcome::kDropped:
    case Outcome::kBusy:
    case Outcome::kDeclined: return;
    default: break;
  }
  const Instant now = clock_.now();
  std::lock_guard lock(mutex_);
  ++(canary ? of_new_ : of_old_);
  if (!canary_.finished(canary ? Release::kCanary : Release::kStable, outcome != Outcome::kAnswered,
                        now - attempt.began, now))
    return;
  log_error("edge: the canary is rolled back: " + canary_.why());
}

Status Releases::begin(double percent) {
  if (!(percent >= 0 && percent <= 100)) return fail(Code::kInvalid, "a share lies between 0 and 100 percent");
  if (percent > 0 && canaries_.none())
    return fail(Code::kInvalid, "no node runs a new release: name its zone in edge.canary.zones of the cluster file");
  if (percent > 0 && stable_.none())
    return fail(Code::kInvalid, "all nodes of this region run the new release: there is nothing to compare it with");
  std::lock_guard lock(mutex_);
  const auto hundredths = static_cast<std::uint32_t>(std::lround(percent * 100));
  canary_.begin(hundredths);
  of_new_ = of_old_ = 0;
  if (canaries_.any()) log_info("edge: the canary gets " + percent_text(hundredths));
  return {};
}

void Releases::stay_back(std::string why) {
  log_warning("edge: the canary stays rolled back: " + why);
  std::lock_guard lock(mutex_);
  canary_.roll_back(std::move(why));
}

Releases::State Releases::state() const {
  std::lock_guard lock(mutex_);
  return {canaries_.any() && stable_.any(),
          canary_.share() / 100.0,
          canary_.rolled_back(),
          canary_.why(),
          of_new_,
          of_old_};
}

}  // namespace evercert::traffic
