// SPDX-License-Identifier: Apache-2.0
#include "keys/sign_meter.h"

#include <algorithm>

namespace evercert::keys {
namespace {

constexpr double kFollow = 0.1;  // of what a signature takes, by each new one

class Metered : public pki::Signer {
 public:
  Metered(std::shared_ptr<pki::Signer> signer, SignMeter& meter) : signer_(std::move(signer)), meter_(meter) {}
  Result<std::string> sign(std::string_view tbs) const override {
    const auto turn = meter_.began();
    auto made = signer_->sign(tbs);
    meter_.ended(turn, made.has_value());
    return made;
  }
  const std::string& spki_der() const override { return signer_->spki_der(); }
  const std::string& algorithm_der() const override { return signer_->algorithm_der(); }

 private:
  std::shared_ptr<pki::Signer> signer_;
  SignMeter& meter_;
};

std::int64_t second_of(Instant at) { return at.us / 1'000'000; }

}  // namespace

SignMeter::Turn SignMeter::began() {
  const Instant now = clock_.now();
  const std::lock_guard lock(mutex_);
  return {now, in_flight_++ == 0};
}

void SignMeter::ended(const Turn& turn, bool made) {
  const Instant now = clock_.now();
  const std::lock_guard lock(mutex_);
  const bool alone = turn.alone && in_flight_ == 1;
  --in_flight_;
  if (!made) return;
  const std::int64_t second = second_of(now);
  Slot& slot = slots_[static_cast<std::size_t>(second) % slots_.size()];
  if (slot.second != second) slot = {second, 0};
  ++slot.made;
  best_ = std::max(best_, static_cast<double>(slot.made));
  if (!alone) return;
  const double took = std::max(1e-6, static_cast<double>((now - turn.begun).count()) / 1e6);
  alone_seconds_ += (alone_seconds_ == 0 ? 1 : kFollow) * (took - alone_seconds_);
}

SignMeter::Load SignMeter::load() const {
  const std::int64_t second = second_of(clock_.now());
  const std::lock_guard lock(mutex_);
  int made = 0;
  for (const Slot& slot : slots_) made += slot.second < second && slot.second >= second - kWindow ? slot.made : 0;
  return {static_cast<double>(made) / kWindow, std::max(best_, alone_seconds_ > 0 ? 1 / alone_seconds_ : 0)};
}

std::shared_ptr<pki::Signer> metered(std::shared_ptr<pki::Signer> signer, SignMeter& meter) {
  return std::make_shared<Metered>(std::move(signer), meter);
}

}  // namespace evercert::keys
