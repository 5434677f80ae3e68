// SPDX-License-Identifier: Apache-2.0
// For tests: chance that is 1, 2, 3, ...
#pragma once

#include "base/env.h"

namespace evercert::traffic {

class Counting : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& byte : out) byte = ++last_;
  }

 private:
  std::uint8_t last_ = 0;
};

}  // namespace evercert::traffic
