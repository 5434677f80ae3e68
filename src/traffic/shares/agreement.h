// SPDX-License-Identifier: Apache-2.0
// Which document of traffic shares a reader far from the key space goes by: the newest that two regions tell word for
// word alike. So one that lies moves no traffic, and one that lags takes nothing back. Pure; one thread.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "traffic/shares/shares.h"

namespace evercert::traffic {

class SharesAgreement {
 public:
  explicit SharesAgreement(std::size_t regions) : told_(regions) {}
  // What a node of the region says now. True: the shares have changed by it. What is no document says nothing.
  bool said(std::size_t region, std::string_view document);
  const Shares& shares() const { return shares_; }

 private:
  std::vector<Shares> told_;
  Shares shares_;
};

}  // namespace evercert::traffic
