// SPDX-License-Identifier: Apache-2.0
#include "keys/sign_meter.h"

#include <gtest/gtest.h>

namespace evercert::keys {
namespace {

class Hands : public MonotonicClock {
 public:
  Instant now() const override { return now_; }
  Instant now_{100'000'000};
};

// Takes 20 ms; or is gone.
class Token : public pki::Signer {
 public:
  explicit Token(Hands& hands) : hands_(hands) {}
  Result<std::string> sign(std::string_view) const override {
    hands_.now_ = hands_.now_ + 20ms;
    if (gone) return fail(Code::kUnavailable, "gone");
    return "signature";
  }
  const std::string& spki_der() const override { return text_; }
  const std::string& algorithm_der() const override { return text_; }
  bool gone = false;

 private:
  Hands& hands_;
  std::string text_ = "der";
};

TEST(SignMeter, WhatATokenDoesASecondAndWhatItCouldDoOneAfterTheOther) {
  Hands hands;
  SignMeter meter(hands);
  EXPECT_EQ(meter.load().most, 0) << "nothing has been made";
  const auto token = std::make_shared<Token>(hands);
  const auto signer = metered(token, meter);
  EXPECT_EQ(signer->spki_der(), "der");
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(*signer->sign("text"), "signature");
    hands.now_ = hands.now_ + 180ms;
  }
  EXPECT_NEAR(meter.load().rate, 5, 0.1) << "five a second, in ten seconds";
  EXPECT_NEAR(meter.load().most, 50, 1e-6) << "20 ms each";
  hands.now_ = hands.now_ + 60s;
  EXPECT_EQ(meter.load().rate, 0);
  EXPECT_NEAR(meter.load().most, 50, 1e-6) << "it still can";
}

TEST(SignMeter, MoreAtOnceThatAreMadeAreMoreThatItCan) {
  Hands hands;
  SignMeter meter(hands);
  // Four at once, 20 ms each, fifty times in a second.
  for (int i = 0; i < 50; ++i) {
    std::array<SignMeter::Turn, 4> turns;
    for (auto& turn : turns) turn = meter.began();
    hands.now_ = hands.now_ + 20ms;
    for (const auto& turn : turns) meter.ended(turn, true);
  }
  EXPECT_GE(meter.load().most, 190);
}

TEST(SignMeter, ATokenThatIsGoneMakesNothingAndIsNotQuickForIt) {
  Hands hands;
  SignMeter meter(hands);
  const auto token = std::make_shared<Token>(hands);
  token->gone = true;
  EXPECT_FALSE(metered(token, meter)->sign("text"));
  hands.now_ = hands.now_ + 2s;
  EXPECT_EQ(meter.load().rate, 0);
  EXPECT_EQ(meter.load().most, 0);
}

}  // namespace
}  // namespace evercert::keys
